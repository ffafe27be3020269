"""What a configuration builds, in place of what it leaves open: the values that `config.json` holds."""

from collections.abc import Mapping

from capsnet.errors import UserError
from capsnet.losses import LOSSES
from capsnet.models.factory import model_loss, model_options, model_routing, own_option
from capsnet.runs.config import RunConfig, is_object
from capsnet.runs.sections import ModelConfig

RECON_WEIGHT = 0.0005
"""Weight of the reconstruction loss of a model with a decoder: section 4.1 of Sabour et al. 2017."""

OPEN = frozenset(("epochs", "precision", "pixel_range"))
"""Options that a configuration may leave to the data and the machine: `as_planned` fills them in."""


def as_built(config: RunConfig) -> RunConfig:
    """The configuration with what its model has, and the one length that counts.

    Routing, iterations and the weight of the decoder's loss are those of the model. A run of `steps` has no `epochs`.

    Raises:
        UserError: an unknown model, or one that cannot have this routing or these iterations; the message says why.

    Example:
        >>> as_built(RunConfig.from_defaults(model="em-capsnet")).model.routing
        'em'
    """
    if config.optimizer.steps is not None:
        config = config.change(epochs=None)
    if is_object(config.model.name):
        _check_object(config.model)
        return config
    routing, iterations = model_routing(config.model.name, _given(config.model))
    return config.change(routing=routing, iterations=iterations, recon_weight=_recon_weight(config))


def as_planned(config: RunConfig, images: int, precision: str) -> RunConfig:
    """The configuration with the epochs that a run will do and the precision that it computes in.

    Args:
        config: as built.
        images: in an epoch.
        precision: of the convolutions, on the device of the run.
    """
    length = config.optimizer
    if length.steps is None:
        config = config.change(epochs=length.total_epochs(-(-images // length.batch_size)))
    return config.change(precision=precision)


def _given(model: ModelConfig) -> dict[str, object]:
    """The options of a model and what a configuration says of its routing, each given once."""
    given: dict[str, object] = dict(model.options)
    for name, value in (("routing", model.routing), ("iterations", model.iterations)):
        if value is None:
            continue
        if given.get(name, value) != value:
            raise UserError(
                f"{name} {value!r} and the model option {name}={given[name]!r} contradict each other; give one of them"
            )
        given[name] = value
    if model.routing_options:
        if "routing_options" not in model_options(model.name):
            raise UserError(
                f"routing_options must be left out, got {dict(model.routing_options)!r}: model {model.name!r} takes "
                "none"
            )
        given["routing_options"] = model.routing_options
    return given


def _recon_weight(config: RunConfig) -> float:
    """The weight of the reconstruction loss: 0 where the model has no decoder."""
    model, weight = config.model, config.optimizer.recon_weight
    if "decoder" not in model_options(model.name):
        return 0.0
    decodes = bool(own_option(model.name, "decoder", model.options))
    if weight is None:
        return RECON_WEIGHT if decodes else 0.0
    if weight and not model.options.get("decoder", True):
        raise UserError(
            f"recon_weight {weight:g} and the model option decoder=False contradict each other; give one of them"
        )
    return weight


def loss_words(config: RunConfig) -> str:
    """What the loss of a run's classes is called."""
    model = config.model
    # of the user's own class only the object knows its loss
    if is_object(model.name):
        return "class loss"
    return LOSSES.get(model_loss(model.name, model.options)).words


def _check_object(model: ModelConfig) -> None:
    given: Mapping[str, object] = {
        "routing": model.routing,
        "iterations": model.iterations,
        "routing_options": model.routing_options,
        "model_options": model.options,
    }
    for name, value in given.items():
        if value:
            raise UserError(f"{name} must be left out, got {value!r}: the model is an object, which is built already")


def built_options(config: RunConfig) -> dict[str, object]:
    """What a configuration says of its model's routing, as arguments of the model's constructor."""
    model, taken = as_built(config).model, model_options(config.model.name)
    values = {
        "routing": model.routing,
        "iterations": model.iterations,
        "routing_options": dict(model.routing_options) or None,
    }
    return {name: value for name, value in values.items() if name in taken and value is not None}
