"""Models by name."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from torch import nn

from capsnet.bounds import check_kind
from capsnet.errors import UserError
from capsnet.models.arguments import ROUTING_ARGUMENTS, resolve_routing
from capsnet.models.model import CapsuleModel
from capsnet.models.named import Creation
from capsnet.models.segmentation import SEGMENTERS
from capsnet.models.sequence import SEQUENCE_MODELS
from capsnet.registry import Registry, suggest
from capsnet.renamed import current_names
from capsnet.routing import ROUTINGS, own_iterations


@dataclass(frozen=True)
class Preset:
    """A model's class, the arguments of this preset, and a one-line summary."""

    build: type[CapsuleModel]
    options: Mapping[str, object]
    summary: str


def _name_other_function(name: str) -> str | None:
    for registry, function, data in (
        (SEGMENTERS, "create_segmenter", "a folder of images/ and masks/"),
        (SEQUENCE_MODELS, "create_sequence_model", "WAV files in class folders or a .ts file"),
    ):
        if name in registry:
            return (
                f"{name} is a {registry.noun}, which does not classify images; create it with "
                f"capsnet.models.{function}({name!r}), or train it on {data}: capsnet train {name} --data FOLDER"
            )
    return None


MODELS: Registry[Preset] = Registry("model", "capsnet.models", elsewhere=_name_other_function)


def create_model(name: str, **overrides: object) -> CapsuleModel:
    """Create a model with fresh weights.

    Args:
        name: one of `list_models()`.
        overrides: arguments of the model's class, over those of the preset: `image_shape`, `num_classes`, ... With
            a `routing` other than the preset's, the preset's routing arguments are dropped.

    Raises:
        UserError: an unknown name or argument, an invalid value, values that contradict each other, or sizes that do
            not fit together. No argument is ignored.

    Example:
        >>> model = create_model("capsnet", image_shape=(3, 32, 32), num_classes=5)
    """
    preset = MODELS.get(name)
    overrides = current_names(preset.build, overrides)
    known = model_options(name)
    for option in overrides:
        if option not in known:
            raise UserError(f"model {name!r} has no option {option!r}{suggest(option, known)}")
    parameters = inspect.signature(preset.build).parameters
    for option, value in overrides.items():
        check_kind(option, value, parameters[option].annotation)
    build: Callable[..., CapsuleModel] = preset.build
    model = build(**_together(preset, overrides))
    # no file can hold a user's module: such a model counts as created directly
    if not any(isinstance(value, nn.Module) for value in overrides.values()):
        model.created_by = Creation.of(name, overrides)
    return model


def _together(preset: Preset, overrides: Mapping[str, object]) -> dict[str, object]:
    """The arguments of a model: the preset's, updated with the overrides."""
    defaults: Mapping[str, object] = current_names(preset.build, preset.options)
    routing, own_routing = overrides.get("routing"), _own_routing(preset)
    if isinstance(routing, str):
        overrides = {**overrides, "routing": ROUTINGS.resolve(routing)}
    if overrides.get("routing", own_routing) != own_routing:
        defaults = {
            name: value for name, value in defaults.items() if name not in (*ROUTING_ARGUMENTS, "routing_options")
        }
    return {**defaults, **overrides}


def _own_routing(preset: Preset) -> str | None:
    parameter = inspect.signature(preset.build).parameters.get("routing")
    if parameter is None:
        return preset.build.fixed_routing
    return ROUTINGS.resolve(str(preset.options.get("routing", parameter.default)))


def model_options(name: str) -> tuple[str, ...]:
    """Names of the arguments that a model takes."""
    return tuple(inspect.signature(MODELS.get(name).build).parameters)


def model_routing(name: str, options: Mapping[str, object] | None = None) -> tuple[str | None, int | None]:
    """The routing and iterations of a model made by `create_model`; None if it has none.

    Args:
        name: one of `list_models()`.
        options: overrides of the preset, `routing` and `iterations` among them, also for a model whose constructor
            does not take them.

    Raises:
        UserError: the model does not support that routing or these iterations; the message gives the reason.
    """
    preset = MODELS.get(name)
    given = current_names(preset.build, options or {})
    if isinstance(given.get("routing"), str):
        given["routing"] = ROUTINGS.resolve(str(given["routing"]))
    parameters = inspect.signature(preset.build).parameters
    own, routing = _own_routing(preset), given.get("routing")
    if routing is not None and "routing" not in parameters and routing != own:
        made = f"supports only routing {own!r}" if own else "has no routing"
        raise UserError(f"routing must be left out, got {routing!r}: model {name!r} {made}; choose another model")
    iterations = given.get("iterations")
    if own is None:
        if iterations is not None:
            raise UserError(f"iterations must be left out, got {iterations!r}: model {name!r} has no routing")
        return None, None
    if "iterations" not in parameters and iterations is not None and iterations != own_iterations(own):
        raise UserError(f"iterations must be left out, got {iterations!r}: routing {own!r} of model {name!r} has none")
    # None means the default
    together = _together(preset, {key: value for key, value in given.items() if value is not None})
    used = str(together.get("routing", own))
    options = {key: together[key] for key in ROUTING_ARGUMENTS if key in together}
    inside = cast(Mapping[str, object] | None, together.get("routing_options"))
    resolved = resolve_routing(used, inside, **options)
    parameter = parameters.get("iterations")
    default = parameter.default if parameter is not None else None
    count = resolved.get("iterations", default if default is not None else own_iterations(used))
    return used, int(count) if isinstance(count, int) else None


def own_option(name: str, option: str, options: Mapping[str, object] | None = None) -> object:
    """The value of a model's argument in `create_model`; None if the model does not take it.

    Args:
        name: one of `list_models()`.
        option: the argument.
        options: arguments over those of the preset.
    """
    preset = MODELS.get(name)
    parameter = inspect.signature(preset.build).parameters.get(option)
    given = current_names(preset.build, {**preset.options, **(options or {})})
    return given.get(option, parameter.default) if parameter else None


def option_types(name: str) -> dict[str, object]:
    """Names of the arguments that a model takes, with their types."""
    parameters = inspect.signature(MODELS.get(name).build).parameters
    return {option: parameter.annotation for option, parameter in parameters.items()}


def model_loss(name: str, options: Mapping[str, object] | None = None) -> str:
    """Name of a model's classification loss, `"margin"` for most.

    Args:
        name: one of `list_models()`.
        options: arguments over those of the preset.
    """
    preset = MODELS.get(name)
    parameter = inspect.signature(preset.build).parameters.get("loss")
    given = {**preset.options, **(options or {})}
    return str(given.get("loss", parameter.default if parameter else preset.build.loss))


def list_models(pattern: str = "*") -> list[str]:
    """Names of all models that match a shell pattern, such as `"capsnet*"`."""
    return MODELS.names(pattern)
