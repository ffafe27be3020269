"""Models of one kind by name: creation from a preset, and files that hold name, options and weights.

Models that classify images have a file format of their own, with all that a run needs (`runs/weights.py`).
"""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_model
from torch import nn

from capsnet.bounds import check_kind
from capsnet.errors import UserError
from capsnet.registry import Registry, suggest

SEGMENTER_KEY, SEQUENCE_KEY = "capsnet-segmenter", "capsnet-sequence-model"
"""Where the files of models for segmentation and for sequences hold their description."""
StoredKind = Literal["segmenter", "sequence model"]


@dataclass(frozen=True)
class Creation:
    """The call that made a model by its name.

    Args:
        name: of the model.
        options: the overrides, without `device` and `dtype`, which are the loading machine's choice.
    """

    name: str
    options: Mapping[str, object]

    @classmethod
    def of(cls, name: str, overrides: Mapping[str, object]) -> "Creation":
        """The call with these overrides."""
        return cls(name, {key: value for key, value in overrides.items() if key not in ("device", "dtype")})


class NamedModel(nn.Module):
    """Base class of models of one kind.

    Attributes:
        created_by: the call that made it by its name; None if the model was created directly.
    """

    created_by: Creation | None = None


M = TypeVar("M", bound=NamedModel)


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
    parameters = inspect.signature(preset.build).parameters
    for option, value in overrides.items():
        if option not in parameters:
            raise UserError(f"{registry.noun} {name!r} has no option {option!r}{suggest(option, tuple(parameters))}")
        check_kind(option, value, parameters[option].annotation)
    model = preset.build(**{**preset.options, **overrides})
    model.created_by = Creation.of(name, overrides)
    return model


def save_named(
    model: NamedModel, file: str | Path, key: str, maker: str, about: Mapping[str, object] | None = None
) -> None:
    """Write weights, name and options to a safetensors file.

    Args:
        model: made by `create_named`.
        file: to write.
        key: of the file's entry that describes the model.
        maker: the function that calls `create_named`.
        about: what else a model of this kind keeps.

    Raises:
        UserError: the model was created directly.
    """
    made = model.created_by
    if made is None:
        raise UserError(f"only a model made by {maker} can be saved by its name")
    spec = {"name": made.name, "options": dict(made.options), "about": about or {}}
    save_model(model, str(file), {key: json.dumps(spec)})


def load_named(registry: Registry[NamedPreset[M]], file: str | Path, key: str) -> tuple[M, dict[str, object]]:
    """Load a model that `save_named` wrote, in eval mode, and `about`. Nothing in the file is executed.

    Raises:
        UserError: no such file, a file of another kind, or one that is damaged.
    """
    if not Path(file).is_file():
        raise UserError(f"no file {file}; write one with model.save({str(file)!r})")
    try:
        with safe_open(str(file), "pt") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"cannot read {file} as safetensors: {error}") from error
    if key not in metadata:
        raise UserError(f"{file} holds no {registry.noun}; to classify images use capsnet.load({str(file)!r})")
    try:
        stored = json.loads(metadata[key])
        name, options, about = str(stored["name"]), dict(stored["options"]), dict(stored.get("about", {}))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{file}: what it says of its model is damaged; write it again") from error
    model = create_named(registry, name, options)
    try:
        load_model(model, str(file))
    except (RuntimeError, SafetensorError) as error:
        raise UserError(f"the weights in {file} do not fit its options: {' '.join(str(error).split())}") from error
    return model.eval(), about


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
