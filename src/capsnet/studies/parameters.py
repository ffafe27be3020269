"""The number of a run's decoder parameters, which have no part in the classification."""

from capsnet.models import create_model
from capsnet.runs.built import as_built, built_options
from capsnet.runs.config import RunConfig
from capsnet.runs.folder import RunResult
from capsnet.runs.weights import count_decoder, count_parameters, on_meta


def count_drawing(config: RunConfig, result: RunResult) -> int | None:
    """The number of parameters of a run's decoder.

    Args:
        config: the run's configuration.
        result: the run's result.

    Returns:
        The number that the run recorded. For an older run, the number in its model at the model's default image size,
        or None if that model has another size than the run's network.
    """
    if "decoder_parameters" in result:
        return result["decoder_parameters"]
    if not as_built(config).optimizer.recon_weight:
        return 0
    with on_meta():
        model = create_model(config.model.name, **{**config.model.options, **built_options(config)})
    return count_decoder(model) if count_parameters(model) == result.get("parameters") else None
