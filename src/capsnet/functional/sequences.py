"""Sequences of different lengths in one tensor, padded at the end."""

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from capsnet.errors import UserError
from capsnet.functional.labels import can_read, check_tensor


def mask_steps(lengths: Shaped[Tensor, " *any"], steps: int, *, shortest: int = 0) -> Bool[Tensor, "b t"]:
    """True for the steps of each sequence, False for its padding.

    Args:
        lengths: number of steps of each sequence.
        steps: of the padded tensor.
        shortest: least number of steps.

    Shapes:
        lengths `b`, result `b t`.

    Raises:
        UserError: lengths that are no whole numbers, not one for each sequence, or out of range.

    Example:
        >>> mask_steps(torch.tensor([3, 1]), 3)
        tensor([[ True,  True,  True],
                [ True, False, False]])
    """
    check_tensor(lengths, "lengths")
    if lengths.ndim != 1 or lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise UserError(
            f"lengths must be one whole number for each sequence, got {tuple(lengths.shape)} of {lengths.dtype}; "
            "from a mask b t they are mask.sum(dim=1)"
        )
    if can_read(lengths) and not ((lengths >= shortest) & (lengths <= steps)).all():
        raise UserError(f"lengths must be from {shortest} to {steps}, got {lengths.tolist()}")
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def check_sequences(sequences: Shaped[Tensor, "*any"], channels: int, lengths: Int[Tensor, " *_"] | None) -> None:
    """Check the shape of sequences, and that they have as many lengths.

    Args:
        sequences: `b c t`.
        channels: expected number.
        lengths: of each sequence, or None.

    Raises:
        UserError: they do not fit.
    """
    check_tensor(sequences, "sequences")
    if sequences.ndim != 3 or sequences.shape[1] != channels or not len(sequences):
        raise UserError(f"sequences must be b x {channels} channels x steps, got {tuple(sequences.shape)}")
    if not sequences.is_floating_point():
        raise UserError(f"sequences must be floats, got {sequences.dtype}; use sequences.float()")
    if lengths is not None and len(lengths) != len(sequences):
        raise UserError(f"lengths must be {len(sequences)} numbers, one for each sequence, got {len(lengths)}")
