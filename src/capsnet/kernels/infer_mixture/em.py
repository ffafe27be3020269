"""EM routing on votes that are not stored: `em_routing` before its last sigmoid."""

from math import log, pi
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.functional import Windows, parent_softmax
from capsnet.kernels.infer_mixture.scratch import ScratchVotes

Form = Literal["paper", "authors"]

_VARIANCE = {"paper": 1e-4, "authors": 5e-4}
_MOMENTUM = {"paper": 0.0, "authors": 0.1}


def infer_em(
    votes: ScratchVotes,
    children: Float[Tensor, "b i"],
    use: Float[Tensor, " j"],
    activate: Float[Tensor, " j"],
    *,
    iterations: int,
    inverse_temperature: float,
    form: Form,
    variance: float | None,
    mass: float,
    windows: Windows | None,
) -> tuple[Float[Tensor, "b j d"], Float[Tensor, "b j"], Float[Tensor, "b i j"]]:
    """Poses, logits of the activations, and coupling, none in less than float32."""
    samples, parents = len(children), len(use)
    least = _VARIANCE[form] if variance is None else variance
    logits = children.new_zeros(samples, children.shape[1], parents)  # b i j
    means = children.new_zeros(samples, parents, votes.pose_dim)  # b j d
    for step in range(iterations):
        temperature = inverse_temperature * (1 - 0.95 ** (step + 1))
        last = step == iterations - 1
        arguments = (votes, children, logits, means, use, activate, temperature, form, least, mass, windows, last)
        means, active, coupling, logits = _iterate(*arguments)
    return means, active, coupling


def _iterate(
    votes: ScratchVotes,
    children: Float[Tensor, "b i"],
    logits: Float[Tensor, "b i j"],
    means: Float[Tensor, "b j d"],
    use: Float[Tensor, " j"],
    activate: Float[Tensor, " j"],
    temperature: float,
    form: Form,
    least: float,
    least_mass: float,
    windows: Windows | None,
    last: bool,
) -> tuple[Float[Tensor, "b j d"], Float[Tensor, "b j"], Float[Tensor, "b i j"], Float[Tensor, "b i j"]]:
    """One iteration: means, logits of the activations, coupling, and the logits of the next coupling."""
    coupling = parent_softmax(logits, windows)
    mass = (coupling * children[..., None]).mT.contiguous()  # b j i
    received = mass.sum(dim=2) + least_mass  # b j
    share = mass / received[..., None]
    means = torch.lerp(votes.over_children(share), means, _MOMENTUM[form])
    squares = votes.squares(means)
    variances = squares.over_children(share) + least  # b j d
    active = temperature * _evidence(received, variances, use, activate, form)  # b j
    if last:
        return means, active, coupling, logits
    fit = squares.over_entries(variances.reciprocal())  # b j i
    density = (2 * pi * variances).log().sum(dim=2)[..., None] + fit
    return means, active, coupling, (nn.functional.logsigmoid(active)[..., None] - density / 2).mT


def _evidence(
    received: Float[Tensor, "b j"],
    variances: Float[Tensor, "b j d"],
    use: Float[Tensor, " j"],
    activate: Float[Tensor, " j"],
    form: Form,
) -> Float[Tensor, "b j"]:
    if form == "paper":
        return activate - received * (use[:, None] + variances.log() / 2).sum(dim=2)
    return -received * (use[:, None] * (1 + log(2 * pi)) + variances.log()).sum(dim=2) - 5000 * activate
