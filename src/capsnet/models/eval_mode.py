"""Eval mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Set a module to eval mode, and back to what it was when the block ends, also by an error.

    Example:
        >>> with eval_mode(model):
        ...     lengths = model(images).lengths
    """
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
