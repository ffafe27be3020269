"""Models as folders of the Hugging Face Hub: weights, configuration, model card.

Nothing but safetensors is written or read; `huggingface_hub` is imported when it is used.
"""

import json
from pathlib import Path

import torch

from capsnet.errors import UserError
from capsnet.interop.public_name import public_name
from capsnet.models import CapsuleModel
from capsnet.models.custom import class_of
from capsnet.models.hub import HubMethods
from capsnet.runs import Run
from capsnet.runs.config import object_name
from capsnet.runs.folder import find_weights
from capsnet.runs.hub import PREFIX, check_hub, connection_faults, download_weights, first_line, saved_model
from capsnet.runs.weights import ModelSpec, load_weights, read_tensors


def specify_model(model: CapsuleModel) -> ModelSpec:
    """A model's description in its weights file, without the folders of this machine.

    A model not made by `create_model` is an instance of a user's class, which no file contains: to load it, pass an
    object of that class.

    Raises:
        UserError: an option of the model is an object that cannot be saved.
    """
    made = model.created_by
    options = {} if made is None else made.options
    for name, value in options.items():
        try:
            json.dumps(value)
        except TypeError:
            raise UserError(
                f"the model was created with {name}={value!r}, an object that cannot be saved; give its name"
            ) from None
    return ModelSpec(
        model=object_name(class_of(model)) if made is None else made.name,
        options={name: public_name(value) if isinstance(value, str) else value for name, value in options.items()},
        class_names=model.class_names,
        preparation=model.preparation,
        data=public_name(model.data),
        inputs=model.inputs,
        pairing=model.pairing,
        doubt=model.doubt,
    )


def save_pretrained(model: HubMethods, folder: Path | str, *, run: Path | str | None = None) -> Path:
    """Write a model into a new folder; see `CapsuleModel.save_pretrained`.

    Raises:
        UserError: the folder is not empty, or the extra `hub` is not installed.
    """
    check_hub()
    from capsnet.interop.hub_model import HubModel

    path = Path(folder)
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise UserError(f"{path} exists and is not empty; give another folder")
    HubModel(*_with_run(model, run)).save_pretrained(path)
    return path


def push_to_hub(
    model: HubMethods,
    repo_id: str,
    *,
    run: Path | str | None = None,
    private: bool | None = None,
    token: str | None = None,
    branch: str | None = None,
    commit_message: str = "Push model with capsnet",
) -> str:
    """Upload a model; see `CapsuleModel.push_to_hub`.

    Raises:
        UserError: the Hub cannot be reached or refuses, or the extra `hub` is not installed.
    """
    check_hub()
    from huggingface_hub import errors as faults

    from capsnet.interop.hub_model import HubModel

    try:
        return HubModel(*_with_run(model, run)).push_to_hub(
            repo_id,
            private=private,
            token=token,
            branch=branch,
            commit_message=commit_message,
            model_card_kwargs={"repo_id": repo_id},
        )
    except faults.HFValidationError:
        raise UserError(f"repo_id must be OWNER/NAME, got {repo_id!r}") from None
    except faults.LocalTokenNotFoundError:
        raise UserError(f"{repo_id}: pushing needs an account; log in: hf auth login") from None
    except faults.HfHubHTTPError as fault:
        raise UserError(
            f"{repo_id}: the Hub refuses ({first_line(fault)}); log in with a token that may write: hf auth login"
        ) from None
    except connection_faults() as fault:
        raise UserError(
            f"{repo_id}: the Hub cannot be reached ({first_line(fault)}); connect to the network and unset "
            "HF_HUB_OFFLINE, or use model.save_pretrained(folder) and upload the folder later: hf upload"
        ) from None


def from_pretrained(
    model_class: type[HubMethods],
    source: Path | str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: Path | str | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> CapsuleModel:
    """Load a model from the Hub or a folder; see `CapsuleModel.from_pretrained`.

    Raises:
        UserError: no such model, no connection, or a model of another class.
    """
    path = saved_model(Path(source))
    if path is None and Path(source).is_dir():
        raise UserError(f"{source} holds no model.safetensors; capsnet.load opens run folders")
    model = load_weights(
        path
        or download_weights(
            str(source).removeprefix(PREFIX),
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
        )
    )
    if not isinstance(model, model_class):
        raise UserError(
            f"{source} holds a {type(model).__name__}, not a {model_class.__name__}; use CapsuleModel.from_pretrained"
        )
    return model


def _with_run(model: HubMethods, run: Path | str | None) -> tuple[CapsuleModel, ModelSpec, Run | None]:
    """A model, its description for the weights file, and the run that trained it.

    Raises:
        UserError: the run has other weights, so that its test error is not that of this model.
    """
    assert isinstance(model, CapsuleModel)
    if run is None:
        return model, specify_model(model), None
    opened = Run.open(run)
    trained, _ = read_tensors(find_weights(opened.folder))
    own = model.state_dict()
    if own.keys() != trained.keys() or not all(torch.equal(own[name].cpu(), trained[name]) for name in own):
        raise UserError(f"{run}: its weights are not those of the model, nor is its test error; leave out run")
    return model, specify_model(model), opened
