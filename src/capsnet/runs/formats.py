"""Conversion of files in older formats."""

from collections.abc import Mapping
from typing import TypeGuard, cast

from capsnet.models import MODELS
from capsnet.models.factory import model_options, model_routing
from capsnet.renamed import current_names
from capsnet.routing import ROUTINGS, takes_iterations
from capsnet.runs.sections import OPTIONS

_ZERO_IS_OFF = frozenset(("enlarge", "shrink", "crop", "erase", "lr_decay_steps"))
_ZERO_IS_NONE = _ZERO_IS_OFF | {"limit", "test_limit", "epochs", "steps", "stop_at"}


def rename_options(model: object, options: Mapping[str, object]) -> dict[str, object]:
    """The options of a model in a file, with the present names of arguments and routing."""
    if isinstance(model, str) and model in MODELS:
        options = current_names(MODELS.get(model).build, options, warn=False)
    return {name: _rename_routing(value) if name == "routing" else value for name, value in options.items()}


def rename_config(values: Mapping[str, object]) -> dict[str, object]:
    """The values of a `config.json` of any format, with the present names of the model's arguments and routing."""
    renamed = dict(values)
    if "routing" in values:
        renamed["routing"] = _rename_routing(values["routing"])
    options = values.get("model_options")
    if isinstance(options, Mapping):
        renamed["model_options"] = rename_options(values.get("model", "capsnet"), options)
    return renamed


def _rename_routing(value: object) -> object:
    return ROUTINGS.resolve(value, warn=False) if _is_routing(value) else value


def upgrade_config(values: Mapping[str, object], version: int) -> dict[str, object]:
    """The values of a `config.json` of format 1 or 2, in sections.

    In both formats, 0 means None (`none_for_zero`).
    """
    values = none_for_zero(_resolve_format_1(values) if version < 2 else values)
    sections: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        # unknown entries stay, and the configuration refuses them
        if name in OPTIONS:
            option = OPTIONS[name]
            sections.setdefault(option.section, {})[option.field] = value
    return {**{name: value for name, value in values.items() if name not in OPTIONS}, **sections}


def none_for_zero(options: Mapping[str, object]) -> dict[str, object]:
    """Options with 0 replaced by None where files of format 1 and 2 mean None by it.

    Example:
        >>> none_for_zero({"limit": 0, "shift": 0})
        {'limit': None, 'shift': 0}
    """
    return {name: None if name in _ZERO_IS_NONE and _is_zero(value) else value for name, value in options.items()}


def off_for_zero(options: Mapping[str, object]) -> dict[str, object]:
    """Options of the command line with 0 replaced by None where it switches something off.

    A number of images, epochs or steps stays 0, which the configuration refuses.

    Example:
        >>> off_for_zero({"crop": 0, "epochs": 0})
        {'crop': None, 'epochs': 0}
    """
    return {name: None if name in _ZERO_IS_OFF and _is_zero(value) else value for name, value in options.items()}


def _is_zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def _resolve_format_1(values: Mapping[str, object]) -> dict[str, object]:
    """The values of format 1, with the routing and iterations of the model that was built.

    In format 1, `dynamic` and 3 also meant the model's defaults, and a model ignored options that it does not have.
    """
    model, options = str(values.get("model", "capsnet")), values.get("model_options")
    routing, iterations = values.get("routing", "dynamic"), values.get("iterations", 3)
    chosen = {
        "routing": routing if routing != "dynamic" else None,
        "iterations": iterations if iterations != 3 else None,
    }
    if model in MODELS and _is_routing(routing) and isinstance(options or {}, Mapping):
        chosen |= cast(Mapping[str, object], options or {})
        routing, iterations = model_routing(model, _effective_options(model, chosen))
    return {**values, "routing": routing, "iterations": iterations}


def upgrade_options(model: str, options: Mapping[str, object]) -> dict[str, object]:
    """The options of a model in a weights file of format 1 or 2, without those that the model ignored.

    In these formats, unknown options of a routing were ignored, and `routing_options` of CapsNet took precedence.
    """
    if model not in MODELS or not _is_routing(options.get("routing", "dynamic")):
        return dict(options)
    return _effective_options(model, options)


def _is_routing(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value in ROUTINGS


def _effective_options(model: str, options: Mapping[str, object]) -> dict[str, object]:
    """The options that had an effect, with the default iterations of older constructors."""
    accepted, own = model_options(model), model_routing(model)[0]
    effective = {name: value for name, value in options.items() if name in accepted and value is not None}
    routing, nested = str(effective.get("routing") or own), effective.get("routing_options")
    names = set(nested) if isinstance(nested, Mapping) else set()
    ignored: set[str] = set()
    if routing != "em" or "form" in names:
        ignored.add("em_form")
    if routing not in ROUTINGS or not takes_iterations(routing) or "iterations" in names or model.startswith(_UNROUTED):
        ignored.add("iterations")
    elif routing != own:
        effective.setdefault("iterations", 3)
    if "leaky" in accepted and routing != "dynamic":
        ignored |= {"routing_bias", "leaky", "gradient"}
    if "leaky" in accepted and nested is not None:
        ignored |= {"iterations", "routing_bias", "leaky", "gradient"}
    return {name: value for name, value in effective.items() if name not in ignored}


# models whose constructors had no iterations
_UNROUTED = "efficient-capsnet"
