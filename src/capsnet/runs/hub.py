"""Weights on the Hugging Face Hub, and folders in the format of the Hub."""

from pathlib import Path
from typing import cast

from capsnet.errors import UserError

PREFIX = "hf:"
MODEL_FILE = "model.safetensors"
"""The weights file of a model on the Hub; its metadata describe the model."""


def saved_model(folder: Path) -> Path | None:
    """The weights file of a folder from `save_pretrained`; None for other folders."""
    path = folder / MODEL_FILE
    return path if path.is_file() else None


def check_hub() -> None:
    """Check that `huggingface_hub` is installed.

    Raises:
        UserError: it is not; the message names the extra.
    """
    try:
        import huggingface_hub  # noqa: F401
    except ModuleNotFoundError:
        raise UserError("the Hugging Face Hub needs an extra: pip install 'capsnet[hub]'") from None


def connection_faults() -> tuple[type[Exception], ...]:
    """The exceptions of a failed connection to the Hub."""
    from huggingface_hub.errors import HfHubHTTPError

    # the base class comes from httpx or requests, depending on the version
    return cast(type[Exception], HfHubHTTPError.__bases__[0]), OSError


def first_line(fault: BaseException) -> str:
    """The first line of an error's message."""
    return str(fault).strip().partition("\n")[0]


def download_weights(
    name: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: Path | str | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> Path:
    """The weights file of a model on the Hub, from the local cache or downloaded.

    Args:
        name: `owner/name`, or `owner/name@revision`.
        revision: a branch, tag or commit; None: as in the name, or the latest.
        token: access token of an account; None: the token stored on this machine.
        cache_dir: folder for downloads; None: the Hub's cache, `$HF_HUB_CACHE`.
        force_download: download the file again even if it is in the cache.
        local_files_only: use only the cache.

    Raises:
        UserError: no such model, no permission to read it, or no connection; the message names the remedy.
    """
    check_hub()
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub import errors as faults

    repository, _, name_revision = name.partition("@")
    commit = revision or name_revision or None
    source = f"{PREFIX}{repository}" + (f"@{commit}" if commit else "")
    try:
        path = hf_hub_download(
            repository,
            MODEL_FILE,
            revision=commit,
            token=token,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
        )
    except faults.HFValidationError:
        raise UserError(f"{source}: the name of a model on the Hub is hf:OWNER/NAME") from None
    except faults.LocalEntryNotFoundError:
        cache = cache_dir or constants.HF_HUB_CACHE
        raise UserError(
            f"{source} is not in the cache {cache}, and the Hub cannot be reached; connect to the network and unset "
            "HF_HUB_OFFLINE, or copy the model's folder to this machine and load its path"
        ) from None
    except faults.RepositoryNotFoundError:
        raise UserError(
            f"{source}: no such model on the Hub, or your account may not read it; check the name, or log in: "
            "hf auth login"
        ) from None
    except faults.RevisionNotFoundError:
        raise UserError(f"{source}: the model has no branch, tag or commit of this name") from None
    except faults.EntryNotFoundError:
        raise UserError(f"{source} holds no {MODEL_FILE}; save a model with model.push_to_hub") from None
    except connection_faults() as fault:
        raise UserError(f"{source} cannot be downloaded ({first_line(fault)})") from None
    return Path(path)
