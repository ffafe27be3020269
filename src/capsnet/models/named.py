"""Models of one kind by name: creation from a preset, and files that hold name, options and weights.

Models that classify images have a file format of their own, with all that a run needs (`runs/weights.py`).
"""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_model
from torch import nn

from capsnet.errors import UserError
from capsnet.registry import Registry, suggest

SEGMENTER_KEY, SEQUENCE_KEY = "capsnet-segmenter", "capsnet-sequence-model"
"""Where the files of models for segmentation and for sequences hold their description."""
StoredKind = Literal["segmenter", "sequence model"]

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class NamedPreset(Generic[M]):
    """A model's class, the arguments of this preset, and a one-line summary."""

    build: Callable[..., M]
    options: Mapping[str, object]
    summary: str


def create_named(registry: Registry[NamedPreset[M]], name: str, overrides: Mapping[str, object]) -> M:
    """Create a model from the preset of a name.

    Raises:
        UserError: an unknown name or argument, or sizes that do not fit together.
    """
    preset = registry.get(name)
    known = tuple(inspect.signature(preset.build).parameters)
    for option in overrides:
        if option not in known:
            raise UserError(f"{registry.noun} {name!r} has no option {option!r}{suggest(option, known)}")
    return preset.build(**{**preset.options, **overrides})


@dataclass(frozen=True)
class NamedSpec:
    """What a file says of its model.

    Args:
        name: of the preset.
        options: the overrides, without device and dtype, which are the loading machine's choice.
        about: what else a model of this kind keeps.
    """

    name: str
    options: dict[str, object]
    about: dict[str, object] = field(default_factory=dict)


def stored_options(overrides: Mapping[str, object]) -> dict[str, object]:
    """The options that a file holds."""
    return {key: value for key, value in overrides.items() if key not in ("device", "dtype")}


def save_named(model: nn.Module, file: str | Path, key: str, spec: NamedSpec) -> None:
    """Write weights and `spec`, as JSON under `key`, to a safetensors file."""
    save_model(model, str(file), {key: json.dumps(asdict(spec))})


def read_spec(file: str | Path, key: str) -> NamedSpec | None:
    """What `save_named` wrote under `key`; None if a safetensors file has no such entry.

    Raises:
        UserError: no such file, a file of another format, or a damaged entry.
    """
    if not Path(file).is_file():
        raise UserError(f"no file {file}; write one with model.save({str(file)!r})")
    try:
        with safe_open(str(file), "pt") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"cannot read {file} as safetensors: {error}") from error
    if key not in metadata:
        return None
    try:
        stored = json.loads(metadata[key])
        return NamedSpec(str(stored["name"]), dict(stored["options"]), dict(stored.get("about", {})))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{file}: what it says of its model is damaged; write it again") from error


def describe_kind(metadata: Mapping[str, str]) -> StoredKind | None:
    """The kind of a model by the metadata of its file; None: it classifies images, or is unknown."""
    if SEGMENTER_KEY in metadata:
        return "segmenter"
    return "sequence model" if SEQUENCE_KEY in metadata else None


def stored_kind(file: str | Path) -> StoredKind | None:
    """The kind of the model in a file; None: it classifies images, or the file cannot be read."""
    try:
        with safe_open(str(file), "pt") as opened:
            return describe_kind(opened.metadata() or {})
    except (SafetensorError, OSError):
        return None


def load_weights(model: M, file: str | Path) -> M:
    """Copy the weights of a file into a model, and set it to eval mode. Nothing in the file is executed.

    Raises:
        UserError: weights of other names or shapes.
    """
    try:
        load_model(model, str(file))
    except (RuntimeError, SafetensorError) as error:
        raise UserError(f"the weights in {file} do not fit its options: {' '.join(str(error).split())}") from error
    return model.eval()
