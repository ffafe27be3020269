"""Computation in float32 at least: half precision is too coarse for sums over many children."""

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, bfloat16, float16


def widen(x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Convert half precision to float32; other dtypes are returned unchanged."""
    return x.float() if x.dtype in (float16, bfloat16) else x


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A context in which products on this device have the type of their factors; an exported graph keeps it.

    The device of tensors without memory, `meta`, has no autocast, and needs no context.
    """
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def leave_autocast(device: torch.device) -> AbstractContextManager[object]:
    """`without_autocast` where autocast is on, nothing elsewhere: for functions that layers call without it."""
    return without_autocast(device) if in_autocast(device) else nullcontext()


def in_autocast(device: torch.device) -> bool:
    """Whether autocast is on for a device."""
    return device.type != "meta" and torch.is_autocast_enabled(device.type)
