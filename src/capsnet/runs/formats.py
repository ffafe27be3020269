"""Files of older formats, read as what they meant."""

from collections.abc import Mapping
from typing import TypeGuard, cast

from capsnet.models import MODELS
from capsnet.models.factory import model_options, model_routing
from capsnet.renamed import current_names
from capsnet.routing import ROUTINGS, takes_iterations
from capsnet.runs.sections import OPTIONS

_ZERO_IS_NONE = frozenset(
    ("limit", "test_limit", "enlarge", "shrink", "crop", "erase", "epochs", "steps", "stop_at", "lr_decay_steps")
)


def rename_options(model: object, options: Mapping[str, object]) -> dict[str, object]:
    """The options of a model in a file, with the present names of arguments and of the routing."""
    if isinstance(model, str) and model in MODELS:
        options = current_names(MODELS.get(model).build, options, warn=False)
    return {name: _rename_routing(value) if name == "routing" else value for name, value in options.items()}


def rename_config(values: Mapping[str, object]) -> dict[str, object]:
    """The values of a `config.json` of any format, with the present names of the model's arguments and the routing."""
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

    In both, 0 stood for None (`none_for_zero`).
    """
    values = none_for_zero(_built_then(values) if version < 2 else values)
    sections: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        # an unknown entry stays, and is refused with the configuration
        if name in OPTIONS:
            place = OPTIONS[name]
            sections.setdefault(place.section, {})[place.field] = value
    return {**{name: value for name, value in values.items() if name not in OPTIONS}, **sections}


def none_for_zero(options: Mapping[str, object]) -> dict[str, object]:
    """Options with None where a 0 stands for it: in files of format 1 and 2, and on the command line.

    Example:
        >>> none_for_zero({"limit": 0, "shift": 0})
        {'limit': None, 'shift': 0}
    """
    return {name: None if name in _ZERO_IS_NONE and _is_zero(value) else value for name, value in options.items()}


def _is_zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def _built_then(values: Mapping[str, object]) -> dict[str, object]:
    """The values of format 1, with the routing and the iterations that were built.

    There, `dynamic` and 3 also stood for the model's own, and what a model does not take was left out.
    """
    model, options = str(values.get("model", "capsnet")), values.get("model_options")
    routing, iterations = values.get("routing", "dynamic"), values.get("iterations", 3)
    given = {
        "routing": routing if routing != "dynamic" else None,
        "iterations": iterations if iterations != 3 else None,
    }
    if model in MODELS and _is_routing(routing) and isinstance(options or {}, Mapping):
        given |= cast(Mapping[str, object], options or {})
        routing, iterations = model_routing(model, _counted(model, given))
    return {**values, "routing": routing, "iterations": iterations}


def upgrade_options(model: str, options: Mapping[str, object]) -> dict[str, object]:
    """The options of a model in a weights file of format 1 or 2, without those that were left out when it was built.

    There, options that a routing does not have counted for nothing, and `routing_options` of CapsNet went before all.
    """
    if model not in MODELS or not _is_routing(options.get("routing", "dynamic")):
        return dict(options)
    return _counted(model, options)


def _is_routing(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value in ROUTINGS


def _counted(model: str, given: Mapping[str, object]) -> dict[str, object]:
    """The options that counted, and the iterations that constructors then set for every routing that does any."""
    taken, own = model_options(model), model_routing(model)[0]
    counted = {name: value for name, value in given.items() if name in taken and value is not None}
    routing, inside = str(counted.get("routing") or own), counted.get("routing_options")
    names = set(inside) if isinstance(inside, Mapping) else set()
    left_out: set[str] = set()
    if routing != "em" or "form" in names:
        left_out.add("em_form")
    if routing not in ROUTINGS or not takes_iterations(routing) or "iterations" in names or model.startswith(_UNROUTED):
        left_out.add("iterations")
    elif routing != own:
        counted.setdefault("iterations", 3)
    if "leaky" in taken and routing != "dynamic":
        left_out |= {"routing_bias", "leaky", "gradient"}
    if "leaky" in taken and inside is not None:
        left_out |= {"iterations", "routing_bias", "leaky", "gradient"}
    return {name: value for name, value in counted.items() if name not in left_out}


# whose constructor took no iterations then
_UNROUTED = "efficient-capsnet"
