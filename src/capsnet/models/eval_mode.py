"""Eval mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Set a module to eval mode, and each of its parts back to what it was when the block ends, also by an error.

    Example:
        >>> with eval_mode(model):
        ...     lengths = model(images).lengths
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training
