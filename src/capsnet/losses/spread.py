"""Spread loss. Hinton, Sabour, Frosst, "Matrix capsules with EM routing", ICLR 2018, Eq. 3."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.capsules import CapsNetOutput
from capsnet.functional import check_labels
from capsnet.losses.base import LOSSES, Labels, Loss, Reduction, reduce

# steps of the authors' code that a whole run stands for: its margin is then 0.988, and ends at 0.99 200,000 steps later
_AUTHORS_STEPS = 500_000


def spread_loss(
    activations: Float[Tensor, "b n"],
    labels: Int[Tensor, " b"] | Int[Tensor, "b 1"],
    margin: float | Tensor = 0.9,
    reduction: Reduction = "mean",
) -> Float[Tensor, ""] | Float[Tensor, " b"]:
    r"""Penalise a gap below the margin between the activation of the true class and each other activation.

    $$L = \sum_{i \ne t} \max(0, m - (a_t - a_i))^2$$

    Args:
        activations: activations of the class capsules.
        labels: class indices, t.
        margin: m; the paper raises it from 0.2 to 0.9 in training (`spread_margin`).
        reduction: over the batch: `"mean"`, `"sum"` or `"none"`.

    Shapes:
        activations `b n`, labels `b`; result: a scalar, or `b` for `"none"`.

    Raises:
        UserError: an unknown reduction, labels of another shape, or a class that does not exist.

    Differs from the paper:
        Nothing; the authors' code divides the loss by the number of classes.

    Example:
        >>> spread_loss(torch.tensor([[0.9, 0.2, 0.6]]), torch.tensor([0]), margin=0.5)  # only the gap of 0.3 is short
        tensor(0.0400)
    """
    labels = check_labels(labels, *activations.shape)
    true = activations.gather(1, labels[:, None])
    others = torch.ones_like(activations).scatter(1, labels[:, None], 0)
    loss = (others * (margin - (true - activations)).clamp(min=0).square()).sum(dim=1)
    return reduce(loss, reduction)


def spread_margin(step: int | Tensor) -> Tensor:
    r"""The margin at a training step: $m = 0.2 + 0.79\,\mathrm{sigmoid}(\min(10, step / 50000 - 4))$.

    0.21 at first, 0.6 at step 200,000, 0.988 at step 500,000, 0.99 from step 700,000 on: the authors' code; the paper
    has 0.2 to 0.9.

    Args:
        step: number of training steps completed; a tensor stays on its device.

    Example:
        >>> spread_margin(200_000)
        tensor(0.5950)
    """
    return 0.2 + 0.79 * (torch.as_tensor(step) / 50_000 - 4).clamp(max=10.0).sigmoid()


class SpreadLoss(Loss):
    """`spread_loss` of a model's lengths, as a module.

    In training the margin rises over the run as over the first 500,000 steps of the authors' code (`spread_margin`);
    otherwise it is the paper's final 0.9.
    """

    words = "spread loss"
    changes = True

    def forward(self, output: CapsNetOutput, labels: Labels, progress: Tensor | None = None) -> Float[Tensor, " b"]:
        """The loss of each image."""
        margin = 0.9 if progress is None else spread_margin(progress * _AUTHORS_STEPS)
        return spread_loss(output.lengths, labels, margin, reduction="none")


LOSSES.add("spread", SpreadLoss())
