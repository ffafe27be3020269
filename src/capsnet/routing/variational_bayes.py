"""Variational Bayes routing.

Ribeiro, Leontidis, Kollias, "Capsule Routing via Variational Bayes", AAAI 2020, section 3 and Algorithm 1.
"""

from collections.abc import Iterable
from math import e, log, pi
from typing import Literal, TypedDict

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from capsnet.bounds import check_iterations
from capsnet.capsules import RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import Windows, parent_softmax, widen
from capsnet.functional.precision import leave_autocast
from capsnet.routing.base import ROUTINGS
from capsnet.routing.gaussian import Competition, GaussianRouting, beta_or_zeros, finish, maybe_checkpoint
from capsnet.routing.parents import mask_logits

Start = Literal["parents", "types"]

# defaults of the function and of the module
_ITERATIONS = 3
_START: Start = "parents"

# the paper's priors: a flat Dirichlet over parents, a Gaussian at 0 over means, a Wishart with identity scale over
# precisions, whose degrees of freedom are one more than a pose has entries
_ALPHA, _KAPPA, _PSI = 1.0, 1.0, 1.0


def variational_bayes_routing(
    votes: Float[Tensor, "b i j d"],
    activations: Float[Tensor, "b i"],
    beta_use: Float[Tensor, " j"] | None = None,
    beta_activate: Float[Tensor, " j"] | None = None,
    iterations: int = _ITERATIONS,
    *,
    start: Start = _START,
    windows: Windows | None = None,
    recompute: bool = False,
    norms: Iterable[nn.Module] | None = None,
    parent_mask: Bool[Tensor, "b j"] | None = None,
) -> RoutingOutput:
    r"""Fit a mixture of one Gaussian for each parent to the votes, with priors over all parameters.

    From a uniform $r_{ij}$, repeat with $R_{ij} = r_{ij} a_i$, $R_j = \sum_i R_{ij}$ and D entries of a pose:

    M-step: $\alpha_j = \alpha_0 + R_j$; $\kappa_j = \kappa_0 + R_j$; $\nu_j = \nu_0 + R_j$;
    $\mu_j = \sum_i R_{ij} V_{ij} / R_j$; $m_j = R_j \mu_j / \kappa_j$;
    $\Psi_j^{-1} = \Psi_0^{-1} + \sum_i R_{ij} (V_{ij} - \mu_j)^2 + (\kappa_0 R_j / \kappa_j) \mu_j^2$, a diagonal,
    which is the same as $\Psi_0^{-1} + \sum_i R_{ij} (V_{ij} - m_j)^2 + \kappa_0 m_j^2$.

    E-step: $\log r_{ij} = E[\ln \pi_j] + \frac12 E[\ln |\Lambda_j|] - \frac D2 \ln 2\pi
    - \frac12 (D / \kappa_j + \nu_j \sum_h (V_{ijh} - m_{jh})^2 \Psi_{jh})$, normalised over all parents that receive
    from child i: over types and positions if `windows` is given, otherwise over j; where
    $E[\ln \pi_j] = \psi(\alpha_j) - \psi(\sum_k \alpha_k)$ and
    $E[\ln |\Lambda_j|] = \sum_{d=0}^{D-1} \psi((\nu_j - d) / 2) + D \ln 2 + \ln |\Psi_j|$.

    At the end $a_j = \mathrm{sigmoid}(\beta_{a,j} - (e^{E[\ln \pi_j]} H_j + \beta_{u,j}))$ with the entropy
    $H_j = \frac D2 \ln 2 \pi e - \frac12 E[\ln |\Lambda_j|]$; the module normalises over the batch before the sigmoid.

    Args:
        votes: the votes V_ij, matrices as rows of numbers.
        activations: of the children, a_i.
        beta_use: β_u; None: 0, where `VariationalBayesRouting` starts.
        beta_activate: β_a; None: 0, as β_u.
        iterations: of variational EM.
        start: the first $r_{ij}$: even over all `"parents"` that receive from child i, or the authors' 1 / J for J
            `"types"`, which does not sum to one where several windows hold a child.
        windows: of a convolutional layer; None: the parents of a window compete among themselves only.
        recompute: activation checkpointing of each iteration.
        norms: normalise poses, and logits of the activations, at the end, over the batch as in the paper.
        parent_mask: True for the parents that a sample has; r_ij is normalised, and α_k summed, over them, and the
            others get zeros. None: all.

    Shapes:
        votes `b i j d`, activations `b i`, betas `j`, parent_mask `b j`; poses m `b j d`, activations `b j`,
        coupling r `b i j`.

    Raises:
        UserError: fewer than one iteration, or an unknown `start`.

    Differs from the paper:
        The sum of α_k is over the types of one place, as in the authors' code.

    Example:
        >>> variational_bayes_routing(torch.randn(2, 256, 5, 16), torch.rand(2, 256)).poses.shape
        torch.Size([2, 5, 16])
    """
    check_iterations(iterations)
    _check(start)
    dtype, votes, activations = votes.dtype, widen(votes), widen(activations)
    logits = votes.new_zeros(votes.shape[:3])
    with leave_autocast(votes.device):
        for step in range(iterations):
            competing = None if step == 0 and start == "types" else windows
            coupling = parent_softmax(mask_logits(logits, parent_mask), competing)  # b i j
            arguments = (votes, activations, coupling, parent_mask, step == iterations - 1)
            means, entropy, logits = maybe_checkpoint(_iterate, *arguments, recompute=recompute)
    active = beta_or_zeros(beta_activate, votes) - entropy - beta_or_zeros(beta_use, votes)
    return finish(means, active, coupling, norms=norms, dtype=dtype, parent_mask=parent_mask)


def _iterate(
    votes: Float[Tensor, "b i j d"],
    activations: Float[Tensor, "b i"],
    coupling: Float[Tensor, "b i j"],
    parent_mask: Bool[Tensor, "b j"] | None,
    last: bool,
) -> tuple[Float[Tensor, "b j d"], Float[Tensor, "b j"], Float[Tensor, "b i j"]]:
    """M-step and E-step: means, entropies weighted by the mixing coefficients, and logits of the next coupling."""
    dim = votes.shape[3]
    # M-step
    mass = coupling * activations[..., None]  # R_ij
    received = mass.sum(dim=1)  # R_j
    alpha, kappa, nu = _ALPHA + received, _KAPPA + received, dim + 1 + received
    means = torch.einsum("bij,bijd->bjd", mass, votes) / kappa[..., None]  # m_j
    squares = (votes - means[:, None]).square()
    inverse_psi = 1 / _PSI + torch.einsum("bij,bijd->bjd", mass, squares) + _KAPPA * means.square()
    total = alpha.sum(dim=1, keepdim=True)
    if parent_mask is not None:
        # at least alpha_0: a sample may have no parent
        total = alpha.masked_fill(~parent_mask, 0).sum(dim=1, keepdim=True).clamp(min=_ALPHA)
    log_pi = alpha.digamma() - total.digamma()  # E[ln pi_j]
    freedom = (nu[..., None] - torch.arange(dim, device=nu.device, dtype=nu.dtype)) / 2
    log_precision = (freedom.digamma() - inverse_psi.log()).sum(dim=2) + dim * log(2)  # E[ln |Lambda_j|]
    entropy = log_pi.exp() * (dim * log(2 * pi * e) - log_precision) / 2
    # the coupling is not needed after the last M-step
    if last:
        return means, entropy, coupling
    # E-step
    distance = (squares / inverse_psi[:, None]).sum(dim=3)
    constant = log_pi + (log_precision - dim * log(2 * pi) - dim / kappa) / 2
    return means, entropy, constant[:, None] - nu[:, None] * distance / 2


def _check(start: str) -> None:
    if start not in ("parents", "types"):
        raise UserError(f"start must be 'parents' or 'types', got {start!r}")


class _Options(TypedDict):
    iterations: int
    start: Start


@ROUTINGS.add("variational-bayes")
class VariationalBayesRouting(GaussianRouting):
    """Variational Bayes routing (Ribeiro et al. 2020): EM routing with priors, which keep Gaussians from collapsing.

    `variational_bayes_routing` as a module. It learns β_u and β_a for each parent, and normalises the poses, and the
    activations before their sigmoid, over the batch as in the paper: β_u and β_a are then without effect in training.

    Args:
        num_children: number of children.
        num_parents: number of parents.
        parent_dim: dimension of a parent's pose.
        iterations: of variational EM.
        batch_norm: normalise poses and activations over the batch.
        competition: in a convolutional layer, between all parents of the `"layer"` that receive from a child, or
            between those of one `"window"`.
        start: the first coupling: even over all `"parents"` that receive from a child, or, as in the authors' code,
            over the `"types"` of one place.
        recompute: save memory in training, at the price of computing each iteration twice.

    Raises:
        UserError: fewer than one iteration, or an unknown option.
    """

    algorithm = staticmethod(variational_bayes_routing)
    kernel = "variational_bayes"

    def __init__(
        self,
        num_children: int | None,
        num_parents: int,
        *,
        parent_dim: int,
        iterations: int = _ITERATIONS,
        batch_norm: bool = True,
        competition: Competition = "layer",
        start: Start = _START,
        recompute: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            num_children,
            num_parents,
            parent_dim=parent_dim,
            iterations=iterations,
            competition=competition,
            recompute=recompute,
            batch_norm=batch_norm,
            device=device,
            dtype=dtype,
        )
        _check(start)
        self.start = start

    def options(self) -> _Options:
        return {"iterations": self.iterations, "start": self.start}

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, start={self.start!r}"
