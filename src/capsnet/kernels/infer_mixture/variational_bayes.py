"""Variational Bayes routing on votes that are not stored: `variational_bayes_routing` before its last sigmoid."""

from math import e, log, pi
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.functional import Windows, parent_softmax
from capsnet.kernels.infer_mixture.scratch import ScratchVotes

Start = Literal["parents", "types"]

_ALPHA, _KAPPA, _PSI = 1.0, 1.0, 1.0


def infer_variational_bayes(
    votes: ScratchVotes,
    children: Float[Tensor, "b i"],
    use: Float[Tensor, " j"],
    activate: Float[Tensor, " j"],
    *,
    iterations: int,
    start: Start,
    windows: Windows | None,
) -> tuple[Float[Tensor, "b j d"], Float[Tensor, "b j"], Float[Tensor, "b i j"]]:
    """Poses, logits of the activations, and coupling, none in less than float32."""
    logits = children.new_zeros(*children.shape, len(use))  # b i j
    for step in range(iterations):
        competing = None if step == 0 and start == "types" else windows
        means, negative_entropy, coupling, logits = _iterate(votes, children, logits, competing, step == iterations - 1)
    return means, activate + negative_entropy - use, coupling


def _iterate(
    votes: ScratchVotes,
    children: Float[Tensor, "b i"],
    logits: Float[Tensor, "b i j"],
    windows: Windows | None,
    last: bool,
) -> tuple[Float[Tensor, "b j d"], Float[Tensor, "b j"], Float[Tensor, "b i j"], Float[Tensor, "b i j"]]:
    """One iteration: means, weighed negative entropy, coupling, and the logits of the next coupling."""
    dim = votes.pose_dim
    coupling = parent_softmax(logits, windows)
    mass = (coupling * children[..., None]).mT.contiguous()  # b j i
    received = mass.sum(dim=2)  # b j
    alpha, kappa, nu = _ALPHA + received, _KAPPA + received, dim + 1 + received
    means = votes.over_children(mass) / kappa[..., None]  # b j d
    # measured from m, the spread serves the E-step too
    squares = votes.squares(means)
    inverse_psi = 1 / _PSI + squares.over_children(mass) + _KAPPA * means.square()  # b j d
    log_pi = alpha.digamma() - alpha.sum(dim=1, keepdim=True).digamma()  # b j
    freedom = (nu[..., None] - torch.arange(dim, device=nu.device, dtype=nu.dtype)) / 2
    log_precision = (freedom.digamma() - inverse_psi.log()).sum(dim=2) + dim * log(2)  # b j
    evidence = -log_pi.exp() * (dim * log(2 * pi * e) - log_precision) / 2
    if last:
        return means, evidence, coupling, logits
    fit = squares.over_entries(inverse_psi.reciprocal())  # b j i
    constant = log_pi + (log_precision - dim * log(2 * pi) - dim / kappa) / 2
    return means, evidence, coupling, (constant[..., None] - nu[..., None] * fit / 2).mT
