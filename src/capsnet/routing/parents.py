"""Parents limited per sample: a child's coupling is normalised over the parents that its sample has.

`parent_mask` is True for the parents that a sample has; None: all.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from capsnet.capsules import RoutingOutput
from capsnet.errors import UserError


def check_parent_mask(parent_mask: Bool[Tensor, "b j"], num_samples: int, num_parents: int) -> None:
    """Check a mask that a user gives.

    Raises:
        UserError: a mask of another shape or type.
    """
    expected = (num_samples, num_parents)
    if parent_mask.shape != expected or parent_mask.dtype != torch.bool:
        got = f"{tuple(parent_mask.shape)} of {parent_mask.dtype}"
        raise UserError(f"parent_mask must be {expected} of torch.bool (samples, parents), got {got}")


def mask_logits(
    logits: Float[Tensor, "b i j"], parent_mask: Bool[Tensor, "b j"] | None = None
) -> Float[Tensor, "b i j"]:
    """Set the logits of missing parents to the lowest number, which a softmax turns into a coupling of zero.

    It is finite: a sample without any parent has finite gradients.
    """
    if parent_mask is None:
        return logits
    return logits.masked_fill(~parent_mask[:, None], torch.finfo(logits.dtype).min)


def even_coupling(
    values: Float[Tensor, "b i j *d"], parent_mask: Bool[Tensor, "b j"] | None = None
) -> Float[Tensor, "b i j"]:
    """Divide each child evenly between the parents of its sample; `values` give the sizes, and are not read."""
    sizes = values.shape[:3]
    if parent_mask is None:
        return values.new_full(sizes, 1 / sizes[2])
    return mask_logits(values.new_zeros(sizes), parent_mask).softmax(dim=-1)


def clear_missing(output: RoutingOutput, parent_mask: Bool[Tensor, "b j"] | None = None) -> RoutingOutput:
    """Set pose, activation and coupling of missing parents to zero, and give the output its mask."""
    if parent_mask is None:
        return output
    missing = ~parent_mask
    return output._replace(
        poses=output.poses.masked_fill(missing[..., None], 0),
        activations=output.activations.masked_fill(missing, 0),
        coupling=None if output.coupling is None else output.coupling.masked_fill(missing[:, None], 0),
        mask=parent_mask,
    )
