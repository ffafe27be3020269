"""What a configuration builds, in place of what it leaves to the model: the values that `config.json` holds."""

from dataclasses import replace

from capsnet.errors import UserError
from capsnet.losses import LOSSES
from capsnet.models.factory import model_loss, model_options, model_routing, own_option
from capsnet.runs.config import RunConfig, is_object

_ROUTING = ("routing", "iterations")
RECON_WEIGHT = 0.0005
"""Weight of the reconstruction loss of a model with a decoder: section 4.1 of Sabour et al. 2017."""


def as_built(config: RunConfig) -> RunConfig:
    """The configuration with what its model has: routing, iterations, and the weight of its decoder's loss.

    Raises:
        UserError: an unknown model, or one that cannot have this routing or these iterations; the message says why.

    Example:
        >>> as_built(RunConfig(model="em-capsnet")).routing
        'em'
    """
    if is_object(config.model):
        _check_object(config)
        return config
    given = dict(config.model_options)
    for name in _ROUTING:
        value = getattr(config, name)
        if value is None:
            continue
        if given.get(name, value) != value:
            raise UserError(
                f"{name} {value!r} and the model option {name}={given[name]!r} contradict each other; give one of them"
            )
        given[name] = value
    routing, iterations = model_routing(config.model, given)
    return replace(config, routing=routing, iterations=iterations, recon_weight=_recon_weight(config))


def _recon_weight(config: RunConfig) -> float:
    """The weight of the reconstruction loss: 0 where the model has no decoder."""
    if "decoder" not in model_options(config.model):
        return 0.0
    decodes = bool(own_option(config.model, "decoder", config.model_options))
    if config.recon_weight is None:
        return RECON_WEIGHT if decodes else 0.0
    if config.recon_weight and not config.model_options.get("decoder", True):
        raise UserError(
            f"recon_weight {config.recon_weight:g} and the model option decoder=False contradict each other; give one "
            "of them"
        )
    return config.recon_weight


def loss_words(config: RunConfig) -> str:
    """What the loss of a run's classes is called."""
    # of the user's own class only the object knows its loss
    if is_object(config.model):
        return "class loss"
    return LOSSES.get(model_loss(config.model, config.model_options)).words


def _check_object(config: RunConfig) -> None:
    for name in (*_ROUTING, "model_options"):
        value = vars(config)[name]
        if value:
            raise UserError(f"{name} must be left out, got {value!r}: the model is an object, which is built already")


def built_options(config: RunConfig) -> dict[str, object]:
    """Routing and iterations of a model, as far as it has them and its constructor takes them."""
    resolved, taken = as_built(config), model_options(config.model)
    values = {name: getattr(resolved, name) for name in _ROUTING if name in taken}
    return {name: value for name, value in values.items() if value is not None}
