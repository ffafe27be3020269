"""Weights files: a model's tensors, and beside them what is needed to build it again. Safetensors: no code is run."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from capsnet.data.dataset import Preparation
from capsnet.data.inputs import Inputs
from capsnet.data.pairs import Pairing
from capsnet.errors import UserError
from capsnet.models import create_model
from capsnet.runs.doubt import Doubt
from capsnet.runs.files import write_bytes

FORMAT_VERSION = 2


@dataclass(frozen=True)
class ModelSpec:
    """What a weights file says of its model.

    Args:
        model: name for `create_model`.
        options: its overrides.
        class_names: a name for each class.
        preparation: how image files become inputs, `"digit"` or `"fit"`.
        data: the data set that the model was trained on.
        inputs: how an image becomes an input; None: whole, with pixels in [0, 1].
        pairing: how pairs are made, of a model that was trained on pairs.
        doubt: when an answer is unsure; None: this was not measured.
    """

    model: str
    options: Mapping[str, object]
    class_names: tuple[str, ...]
    preparation: Preparation
    data: str
    inputs: Inputs | None = None
    pairing: Pairing | None = None
    doubt: Doubt | None = None

    def build(self) -> nn.Module:
        """Create the model with fresh weights, its class names, and how images become its inputs."""
        model = create_model(self.model, **self.options)
        model.class_names, model.preparation, model.data = self.class_names, self.preparation, self.data  # type: ignore[assignment]
        model.inputs, model.pairing, model.doubt = self.inputs, self.pairing, self.doubt  # type: ignore[assignment]
        return model


class _NoDraws(TorchFunctionMode):
    """Leaves memory as it is where an initialisation would fill it with random numbers."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        options = kwargs or {}
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        # some of torch's initialisations come here whole, with their tensor by name
        if getattr(func, "__module__", "") == "torch.nn.init":
            return options["tensor"]
        return func(*args, **options)


@contextmanager
def on_meta() -> Iterator[None]:
    """Models that are built in here have sizes only and take no memory.

    Nothing is drawn: on the meta device torch would trace an initialisation, and load its compiler for that.
    """
    with _NoDraws(), torch.device("meta"):
        yield


def save_weights(path: Path, model: nn.Module, spec: ModelSpec) -> None:
    """Write a model's weights with its specification."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {"capsnet": json.dumps({"format_version": FORMAT_VERSION, **asdict(spec)})}
    write_bytes(path, save(tensors, metadata))


def load_weights(path: Path) -> nn.Module:
    """Build the model of a weights file, in eval mode on the CPU.

    Raises:
        UserError: a file that is missing, no capsnet weights file, from a newer version, or does not fit its model.
    """
    tensors, metadata = read_tensors(path)
    values = json.loads(metadata.get("capsnet", "{}"))
    version = values.pop("format_version", None)
    if version is None:
        raise UserError(f"{path}: holds tensors but not the capsnet model they belong to; save them with capsnet")
    if version > FORMAT_VERSION:
        raise UserError(f"{path}: is from a newer capsnet (format {version}, this one reads up to {FORMAT_VERSION})")
    values["class_names"] = tuple(values["class_names"])
    if values.get("inputs"):
        values["inputs"] = Inputs.from_dict(values["inputs"])
    if values.get("pairing"):
        values["pairing"] = Pairing(**values["pairing"])
    if values.get("doubt"):
        values["doubt"] = Doubt(**values["doubt"])
    # drawing eight million numbers that are overwritten at once takes longer than reading them
    with _NoDraws():
        model = ModelSpec(**values).build()
    fill_model(model, tensors, path)
    return model.eval()


def fill_model(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors into a model.

    Raises:
        UserError: a tensor that is missing, unknown or of another shape.
    """
    own = model.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        if name not in tensors:
            raise UserError(f"{path}: the weights do not fit the model, {name!r} is missing")
        if name not in own:
            raise UserError(f"{path}: the weights do not fit the model, it has no {name!r}")
        if tensors[name].shape != own[name].shape:
            shapes = f"{tuple(tensors[name].shape)} in the file, {tuple(own[name].shape)} in the model"
            raise UserError(f"{path}: the weights do not fit the model, {name!r} is {shapes}")
    model.load_state_dict(dict(tensors))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors and its metadata.

    Raises:
        UserError: no such file, or not a whole safetensors file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as fault:
        raise UserError(f"{path}: is not a whole safetensors file ({fault})") from None


def count_parameters(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def to_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Tensors and metadata as the content of a safetensors file."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, dict(metadata))
