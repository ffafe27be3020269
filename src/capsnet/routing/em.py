"""EM routing. Hinton, Sabour, Frosst, "Matrix capsules with EM routing", ICLR 2018, Procedure 1."""

from collections.abc import Iterable
from math import inf, log, pi
from typing import Literal, TypedDict

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from capsnet.bounds import check_iterations, check_numbers
from capsnet.capsules import RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import Windows, parent_softmax, widen
from capsnet.functional.precision import leave_autocast
from capsnet.routing.base import BOUNDS, ROUTINGS
from capsnet.routing.gaussian import Competition, GaussianRouting, beta_or_zeros, finish, maybe_checkpoint
from capsnet.routing.parents import mask_logits

Form = Literal["paper", "authors"]

# defaults of the function and of the module
_ITERATIONS = 3
_INVERSE_TEMPERATURE = 0.01
_FORM: Form = "paper"
_MASS = 1e-7
# constants of the forms
_VARIANCE = {"paper": 1e-4, "authors": 5e-4}
_MOMENTUM = {"paper": 0.0, "authors": 0.1}


def em_routing(
    votes: Float[Tensor, "b i j d"],
    activations: Float[Tensor, "b i"],
    beta_use: Float[Tensor, " j"] | None = None,
    beta_activate: Float[Tensor, " j"] | None = None,
    iterations: int = _ITERATIONS,
    *,
    inverse_temperature: float = _INVERSE_TEMPERATURE,
    form: Form = _FORM,
    variance: float | None = None,
    mass: float = _MASS,
    windows: Windows | None = None,
    recompute: bool = False,
    norms: Iterable[nn.Module] | None = None,
    parent_mask: Bool[Tensor, "b j"] | None = None,
) -> RoutingOutput:
    r"""Fit one Gaussian for each parent to the votes by expectation-maximisation.

    Each child is a data point with weight a_i and a separate vote for every parent. From a uniform
    $r_{ij}$, repeat with $R_{ij} = r_{ij} a_i$ and $R_j = \sum_i R_{ij}$:

    M-step, for each entry h of a pose:
    $\mu_{jh} = \sum_i R_{ij} V_{ijh} / R_j$; $\sigma^2_{jh} = \sum_i R_{ij} (V_{ijh} - \mu_{jh})^2 / R_j$;
    $cost_{jh} = (\beta_{u,j} + \log \sigma_{jh}) R_j$;
    $a_j = \mathrm{sigmoid}(\lambda_t (\beta_{a,j} - \sum_h cost_{jh}))$.

    E-step: $r_{ij} \propto a_j \prod_h N(V_{ijh}; \mu_{jh}, \sigma^2_{jh})$, normalised over all parents that receive
    from child i: over types and positions if `windows` is given, otherwise over j. Computed in log space.

    $\lambda_t = \lambda (1 - 0.95^t)$ in iteration t = 1, 2, ...: the paper gives no numbers for the schedule; this
    is the authors' code's, with λ = 0.01 in convolutional layers and a quarter of it in the class layer.

    Args:
        votes: the votes V_ij, matrices as rows of numbers.
        activations: of the children, a_i.
        beta_use: β_u, what a parent pays for each child that it explains; None: 0, where `EMRouting` starts.
        beta_activate: β_a, what it costs not to activate a parent; None: 0, where `EMRouting` starts.
        iterations: of EM.
        inverse_temperature: λ.
        form: `"paper"`; or `"authors"`, the constants of the authors' code: 0.1 of the mean of the last iteration is
            kept, 5e-4 is added to the variance, $cost_{jh} = (\beta_{u,j} (1 + \log 2\pi) + \log \sigma^2_{jh}) R_j$,
            and -5000 β_a replaces β_a, which thus learns 5000 times as fast.
        variance: added to each variance; None: the default of `form`. If it is far below the initial variance of the
            votes, each child is routed to one random parent from the second iteration on, and little is learned.
        mass: added to R_j; 1e-7 in the convolutional layers of the authors' code, 1e-5 in its class layer.
        windows: of a convolutional layer; None: parents compete within their window only.
        recompute: activation checkpointing: votes are stored once instead of several times per iteration, and each
            iteration is computed again in the backward pass.
        norms: normalise poses, and logits of the activations, at the end; the paper does not.
        parent_mask: True for the parents that a sample has; r_ij is normalised over them, the others get zeros. None:
            all.

    Shapes:
        votes `b i j d`, activations `b i`, betas `j`, parent_mask `b j`; poses `b j d`, activations `b j`,
        coupling r `b i j`.

    Raises:
        UserError: fewer than one iteration, an unknown `form`, a `mass` or `variance` that is not above 0, or an
            `inverse_temperature` below 0.

    Differs from the paper:
        1e-4 is added to the variance and `mass` to R_j: identical votes have zero variance. In the authors' code
        convolutional parents compete across positions within one type only; here across types, too, as in the paper.

    Example:
        >>> em_routing(torch.randn(2, 256, 5, 16), torch.rand(2, 256)).poses.shape
        torch.Size([2, 5, 16])
    """
    check_iterations(iterations)
    _check(form, mass, variance, inverse_temperature)
    dtype, (samples, children, parents, dim) = votes.dtype, votes.shape
    votes, activations = widen(votes), widen(activations)
    beta_use, beta_activate = beta_or_zeros(beta_use, votes), beta_or_zeros(beta_activate, votes)
    constants = (form, _VARIANCE[form] if variance is None else variance, mass)
    logits = votes.new_zeros(samples, children, parents)
    means = votes.new_zeros(samples, parents, dim)
    with leave_autocast(votes.device):
        for t in range(1, iterations + 1):
            coupling = parent_softmax(mask_logits(logits, parent_mask), windows)  # b i j
            temperature = inverse_temperature * (1 - 0.95**t)
            last = t == iterations
            arguments = (votes, activations, coupling, means, beta_use, beta_activate, temperature, *constants, last)
            means, active, logits = maybe_checkpoint(_iterate, *arguments, recompute=recompute)
    return finish(means, active, coupling, norms=norms, dtype=dtype, parent_mask=parent_mask)


def _iterate(
    votes: Float[Tensor, "b i j d"],
    activations: Float[Tensor, "b i"],
    coupling: Float[Tensor, "b i j"],
    means: Float[Tensor, "b j d"],
    beta_use: Float[Tensor, " j"],
    beta_activate: Float[Tensor, " j"],
    temperature: float,
    form: Form,
    least_variance: float,
    least_mass: float,
    last: bool,
) -> tuple[Float[Tensor, "b j d"], Float[Tensor, "b j"], Float[Tensor, "b i j"]]:
    """M-step and E-step: means, logits of the activations, and logits of the next coupling."""
    # M-step
    mass = coupling * activations[..., None]  # R_ij
    received = mass.sum(dim=1) + least_mass  # R_j
    share = mass / received[:, None]
    means = torch.lerp(torch.einsum("bij,bijd->bjd", share, votes), means, _MOMENTUM[form])
    squares = (votes - means[:, None]).square()
    variances = torch.einsum("bij,bijd->bjd", share, squares) + least_variance
    if form == "paper":
        cost = (beta_use[:, None] + variances.log() / 2) * received[..., None]
        active = temperature * (beta_activate - cost.sum(dim=2))
    else:
        cost = (beta_use[:, None] * (1 + log(2 * pi)) + variances.log()) * received[..., None]
        active = temperature * (-5000 * beta_activate - cost.sum(dim=2))
    # the coupling is not needed after the last M-step
    if last:
        return means, active, coupling
    # E-step
    distance = (squares / variances[:, None]).sum(dim=3)
    density = -((2 * pi * variances).log().sum(dim=2)[:, None] + distance) / 2  # log p_ij
    return means, active, nn.functional.logsigmoid(active)[:, None] + density


def _check(form: str, mass: float, variance: float | None, inverse_temperature: float) -> None:
    if form not in ("paper", "authors"):
        raise UserError(f"form must be 'paper' or 'authors', got {form!r}")
    if not 0 < mass < inf:
        raise UserError(f"mass must be above 0 and finite, got {mass}")
    if variance is not None and not 0 < variance < inf:
        raise UserError(f"variance must be above 0 and finite, got {variance}")
    if not 0 <= inverse_temperature < inf:
        raise UserError(f"inverse_temperature must be at least 0 and finite, got {inverse_temperature}")


class _Options(TypedDict):
    iterations: int
    inverse_temperature: float
    form: Form
    variance: float | None
    mass: float


@ROUTINGS.add("em")
class EMRouting(GaussianRouting):
    """EM routing (Hinton et al. 2018): each parent is a Gaussian over the votes of the children that it explains.

    `em_routing` as a module; it learns β_u and β_a for each parent.

    Args:
        num_children: number of children.
        num_parents: number of parents.
        parent_dim: dimension of a parent's pose.
        iterations: of EM.
        inverse_temperature: λ at the end of its schedule.
        form: `"paper"`, or the constants of the authors' code: `"authors"`.
        variance: added to each variance, in place of that of the `form`.
        mass: added to the mass R_j of each parent (authors' code: 1e-7, in the class layer 1e-5).
        competition: in a convolutional layer, between all parents of the `"layer"` that receive from a child, or
            between those of one `"window"`.
        recompute: save memory in training, at the price of computing each iteration twice.
        batch_norm: normalise poses, and the logits of the activations before their last sigmoid, over the batch, as
            Ribeiro et al. do for `variational-bayes`. The paper does not; with few children its activations hardly
            differ.
        beta_use: where β_u starts; the paper does not state it (authors' code: 0.5, in the class layer 2).
        beta_activate: where β_a starts; the paper does not state it (authors' code: 0.5, in the class layer 1).

    Raises:
        UserError: fewer than one iteration, an unknown option, or a number out of bounds.
    """

    algorithm = staticmethod(em_routing)
    kernel = "em"

    def __init__(
        self,
        num_children: int | None,
        num_parents: int,
        *,
        parent_dim: int,
        iterations: int = _ITERATIONS,
        inverse_temperature: float = _INVERSE_TEMPERATURE,
        form: Form = _FORM,
        variance: float | None = None,
        mass: float = _MASS,
        competition: Competition = "layer",
        recompute: bool = False,
        batch_norm: bool = False,
        beta_use: float = 0.0,
        beta_activate: float = 0.0,
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
            beta_use=beta_use,
            beta_activate=beta_activate,
            device=device,
            dtype=dtype,
        )
        check_numbers(BOUNDS, inverse_temperature=inverse_temperature, variance=variance)
        _check(form, mass, variance, inverse_temperature)
        self.inverse_temperature, self.form, self.variance, self.mass = inverse_temperature, form, variance, mass

    def options(self) -> _Options:
        return {
            "iterations": self.iterations,
            "inverse_temperature": self.inverse_temperature,
            "form": self.form,
            "variance": self.variance,
            "mass": self.mass,
        }

    def extra_repr(self) -> str:
        return (
            f"{super().extra_repr()}, inverse_temperature={self.inverse_temperature:g}, form={self.form!r}, "
            f"variance={self.variance}, mass={self.mass:g}"
        )
