"""Initial weights of a run: copy every tensor that fits, for example to train on other classes."""

from collections.abc import Container, Mapping
from pathlib import Path

import torch
from torch import nn

from capsnet.errors import UserError
from capsnet.runs.config import RunConfig, is_object
from capsnet.runs.folder import find_weights
from capsnet.runs.weights import fit_numbers, read_spec, read_tensors


def configure_as(config: RunConfig, source: Path | str) -> RunConfig:
    """The configuration with the model of its initial weights, and with the preprocessing of their images.

    A weights file does not hold the network of a user's own class: then the configuration is unchanged.

    Raises:
        UserError: no weights have this name, or they cannot be read.
    """
    spec = read_spec(find_weights(source))
    if is_object(spec.model):
        return config
    derived = ("image_shape", "num_classes", "decoder", "routing", "iterations", "routing_options")
    routing, iterations = spec.options.get("routing"), spec.options.get("iterations")
    routing_options = spec.options.get("routing_options")
    config = config.change(
        model=spec.model,
        model_options=plain_options(spec.options, without=derived),
        routing=routing if isinstance(routing, str) else None,
        iterations=iterations if isinstance(iterations, int) else None,
        routing_options=routing_options if isinstance(routing_options, Mapping) else {},
    )
    if spec.inputs is None:
        return config
    _, height, width = spec.inputs.image_shape
    size = height if height == width else config.data.image_size
    return config.change(
        image_size=size,
        standardize=spec.inputs.standardize,
        enlarge=spec.inputs.enlarge or None,
        shrink=spec.inputs.shrink or None,
        crop=spec.inputs.crop or None,
    )


def plain_options(options: Mapping[str, object], *, without: Container[str]) -> dict[str, object]:
    """The options of a model that a configuration can hold: numbers, words, and lists of them.

    Args:
        options: of a weights file.
        without: names to leave out: those with a field of their own in the configuration, or that follow from the data.
    """
    return {
        name: value
        for name, value in options.items()
        if name not in without and isinstance(value, bool | int | float | str | list | tuple)
    }


@torch.no_grad()
def carry_over(model: nn.Module, source: Path | str) -> str:
    """Copy into a model every tensor of a weights file whose name and shape match.

    Returns:
        A sentence with the number of copied tensors and the names of the others.

    Raises:
        UserError: no weights have this name, they cannot be read, or none of them fits.
    """
    path = find_weights(source)
    tensors, _ = read_tensors(path)
    own = model.state_dict()
    matching = [name for name, tensor in own.items() if name in tensors and tensors[name].shape == tensor.shape]
    # a decoder may match by chance: it depends only on the class capsules
    if not any(own[name].ndim > 1 and not name.startswith("decoder.") for name in matching):
        raise UserError(f"{source}: none of its weights fits this network; start from weights of the same model")
    for name in matching:
        own[name].copy_(fit_numbers(tensors[name], own[name].dtype, name, path))
    fresh = [name for name in own if name not in matching]
    mismatched = [
        f"{name} ({'x'.join(map(str, tensors[name].shape))}, here {'x'.join(map(str, own[name].shape))})"
        for name in fresh
        if name in tensors
    ]
    missing = [name for name in fresh if name not in tensors]
    text = f"{len(matching)} of {len(own)} tensors are carried over from {source}"
    if mismatched:
        text += f"; of another shape, so they keep their initial values: {', '.join(mismatched)}"
    if missing:
        text += f"; not in it, so they keep their initial values: {', '.join(missing)}"
    return text
