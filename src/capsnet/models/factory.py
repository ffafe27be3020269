"""Models by name."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from capsnet.errors import UserError
from capsnet.registry import Registry, did_you_mean


@dataclass(frozen=True)
class Preset:
    """A model's class with the arguments that make it what its name says, and one line about it."""

    build: Callable[..., nn.Module]
    options: Mapping[str, object]
    summary: str


MODELS: Registry[Preset] = Registry("model")


def create_model(name: str, **overrides: object) -> nn.Module:
    """Create a model with fresh weights.

    Args:
        name: one of `list_models()`.
        overrides: arguments of the model's class, over those of the preset: `image_shape`, `num_classes`, ...

    Raises:
        UserError: an unknown name or argument, or sizes that do not fit together.

    Example:
        >>> model = create_model("capsnet", image_shape=(3, 32, 32), num_classes=5)
    """
    preset = MODELS.get(name)
    known = model_options(name)
    for option in overrides:
        if option not in known:
            raise UserError(
                f"model {name!r} has no option {option!r};{did_you_mean(option, known)} Known: {', '.join(known)}"
            )
    return preset.build(**{**preset.options, **overrides})


def model_options(name: str) -> tuple[str, ...]:
    """Names of the arguments that a model takes."""
    return tuple(inspect.signature(MODELS.get(name).build).parameters)


def option_types(name: str) -> dict[str, object]:
    """Names of the arguments that a model takes, with their types."""
    parameters = inspect.signature(MODELS.get(name).build).parameters
    return {option: parameter.annotation for option, parameter in parameters.items()}


def model_loss(name: str, options: Mapping[str, object] | None = None) -> str:
    """Name of the loss of the classes that a model is trained by, `"margin"` for most.

    Args:
        name: one of `list_models()`.
        options: arguments over those of the preset.
    """
    preset = MODELS.get(name)
    parameter = inspect.signature(preset.build).parameters.get("loss")
    given = {**preset.options, **(options or {})}
    return str(given.get("loss", parameter.default if parameter else getattr(preset.build, "loss", "margin")))


def list_models(pattern: str = "*") -> list[str]:
    """Names of all models that match a shell pattern, such as `"capsnet*"`."""
    return MODELS.names(pattern)
