"""Resolve the defaults of a configuration to the values that `config.json` holds."""

from collections.abc import Mapping

from capsnet.errors import UserError
from capsnet.losses import LOSSES
from capsnet.models.factory import model_loss, model_options, model_routing, own_option
from capsnet.runs.config import RunConfig, is_object
from capsnet.runs.sections import ModelConfig

RECON_WEIGHT = 0.0005
"""Weight of the reconstruction loss of a model with a decoder: section 4.1 of Sabour et al. 2017."""

OPEN = frozenset(("epochs", "precision", "pixel_range"))
"""Options that may depend on the data and the machine: `as_planned` fills them in."""


def as_built(config: RunConfig) -> RunConfig:
    """The configuration with the defaults of its model filled in, and a single length.

    Routing, iterations and weight of the reconstruction loss come from the model. A run of `steps` has no `epochs`.

    Raises:
        UserError: an unknown model, or one that does not support this routing or these iterations.

    Example:
        >>> as_built(RunConfig.from_defaults(model="em-capsnet")).model.routing
        'em'
    """
    if config.optimizer.steps is not None:
        config = config.change(epochs=None)
    if is_object(config.model.name):
        _check_object(config.model)
        return config
    routing, iterations = model_routing(config.model.name, _model_options(config.model))
    return config.change(routing=routing, iterations=iterations, recon_weight=_recon_weight(config))


def as_planned(config: RunConfig, images: int, precision: str) -> RunConfig:
    """The configuration with the number of epochs and the precision of a run.

    Args:
        config: from `as_built`.
        images: number of training images in an epoch.
        precision: resolved precision of the convolutions on the run's device.
    """
    optimizer = config.optimizer
    if optimizer.steps is None:
        config = config.change(epochs=optimizer.total_epochs(-(-images // optimizer.batch_size)))
    return config.change(precision=precision)


def _model_options(model: ModelConfig) -> dict[str, object]:
    """The options of a model, with the routing of its configuration; contradictions are refused."""
    merged: dict[str, object] = dict(model.options)
    for name, value in (("routing", model.routing), ("iterations", model.iterations)):
        if value is None:
            continue
        if merged.get(name, value) != value:
            raise UserError(
                f"{name} {value!r} and the model option {name}={merged[name]!r} contradict each other; give one of them"
            )
        merged[name] = value
    if model.routing_options:
        if "routing_options" not in model_options(model.name):
            raise UserError(
                f"routing_options must be left out, got {dict(model.routing_options)!r}: model {model.name!r} takes "
                "none"
            )
        merged["routing_options"] = model.routing_options
    return merged


def _recon_weight(config: RunConfig) -> float:
    """The weight of the reconstruction loss; 0 for a model without a decoder."""
    model, weight = config.model, config.optimizer.recon_weight
    if "decoder" not in model_options(model.name):
        return 0.0
    has_decoder = bool(own_option(model.name, "decoder", model.options))
    if weight is None:
        return RECON_WEIGHT if has_decoder else 0.0
    if weight and not model.options.get("decoder", True):
        raise UserError(
            f"recon_weight {weight:g} and the model option decoder=False contradict each other; give one of them"
        )
    return weight


def loss_words(config: RunConfig) -> str:
    """The name of a run's class loss."""
    model = config.model
    # the loss of a user's own class is not recorded
    if is_object(model.name):
        return "class loss"
    return LOSSES.get(model_loss(model.name, model.options)).words


def _check_object(model: ModelConfig) -> None:
    settings: Mapping[str, object] = {
        "routing": model.routing,
        "iterations": model.iterations,
        "routing_options": model.routing_options,
        "model_options": model.options,
    }
    for name, value in settings.items():
        if value:
            raise UserError(f"{name} must be left out, got {value!r}: the model is an object, which is already built")


def built_options(config: RunConfig) -> dict[str, object]:
    """The routing of a configuration as arguments of the model's constructor."""
    model, accepted = as_built(config).model, model_options(config.model.name)
    values = {
        "routing": model.routing,
        "iterations": model.iterations,
        "routing_options": dict(model.routing_options) or None,
    }
    return {name: value for name, value in values.items() if name in accepted and value is not None}
