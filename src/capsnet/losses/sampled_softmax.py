"""Sampled softmax: cross-entropy over the true item and a few others, in place of all items of a catalogue.

Jean, Cho, Memisevic, Bengio, "On Using Very Large Target Vocabulary for Neural Machine Translation", ACL 2015, section
3.2; in recommenders: Li et al., CIKM 2019, section 3.5.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.errors import UserError
from capsnet.functional import check_labels
from capsnet.losses.base import Reduction, reduce


def sampled_softmax_loss(
    users: Float[Tensor, "b d"],
    items: Float[Tensor, "n d"],
    labels: Int[Tensor, " b"],
    negatives: Int[Tensor, " m"],
    *,
    log_expected: Float[Tensor, " n"] | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, ""] | Float[Tensor, " b"]:
    r"""Cross-entropy of the true item t against sampled items.

    $$L = -\log \frac{e^{s_t}}{e^{s_t} + \sum_{k \ne t} e^{s_k}} \qquad s_k = u \cdot e_k - \log q_k$$

    The sum is over the sampled items; a sampled item that is the true item of a user is left out of that user's sum.
    If each item is sampled once, this is the cross-entropy over all items.

    Args:
        users: a vector u of each user, for example from `label_aware_attention`.
        items: embeddings e of all items.
        labels: index t of each user's true item.
        negatives: indices of the sampled items, the same for all users, for example from `draw_negatives`.
        log_expected: log q, the logarithm of the expected number of times that each item is sampled; None: items are
            sampled with equal probability, and q cancels.
        reduction: over the batch: `"mean"`, `"sum"` or `"none"`.

    Shapes:
        users `b d`, items `n d`, labels `b`, negatives `m`, log_expected `n`; result: a scalar, or `b` for `"none"`.

    Raises:
        UserError: an unknown reduction, or an index of an item that does not exist.

    Example:
        >>> items = torch.eye(3)
        >>> sampled_softmax_loss(2 * items[:1], items, torch.tensor([0]), torch.tensor([1, 2]))
        tensor(0.2395)
    """
    labels = check_labels(labels, len(users), len(items))
    negatives = check_labels(negatives, len(negatives), len(items))
    true = torch.einsum("bd,bd->b", users, items[labels])
    others = users @ items[negatives].T  # b m
    if log_expected is not None:
        true, others = true - log_expected[labels], others - log_expected[negatives]
    others = others.masked_fill(labels[:, None] == negatives, -torch.inf)
    logits = torch.cat([true[:, None], others], dim=1)
    return reduce(logits.logsumexp(dim=1) - true, reduction)


def draw_negatives(number: int, num_items: int, generator: torch.Generator | None = None) -> Int[Tensor, " m"]:
    """Sample different items with equal probability.

    Args:
        number: m, the number of items to sample.
        num_items: number of items in the catalogue.
        generator: random generator on the device of the result; None: PyTorch's default one on the CPU.

    Shapes:
        result `m`.

    Raises:
        UserError: more items than the catalogue has, or fewer than one.

    Example:
        >>> draw_negatives(3, 3).sort().values
        tensor([0, 1, 2])
    """
    if not 1 <= number <= num_items:
        raise UserError(f"number must be from 1 to the {num_items} items, got {number}")
    device = torch.device("cpu") if generator is None else generator.device
    return torch.randperm(num_items, generator=generator, device=device)[:number]
