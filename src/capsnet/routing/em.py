"""EM routing. Hinton, Sabour, Frosst, "Matrix capsules with EM routing", ICLR 2018, Procedure 1."""

from functools import partial
from math import inf, log, pi
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import Infer, Votes, Windows, vote_tensor, widen
from capsnet.routing.base import ROUTINGS, call
from capsnet.routing.gaussian import Competition, GaussianRouting, check_iterations

Form = Literal["paper", "authors"]

_MASS = 1e-7
_VARIANCE = {"paper": 1e-4, "authors": 5e-4}
_MOMENTUM = {"paper": 0.0, "authors": 0.1}


def em_routing(
    votes: Float[Tensor, "b i j d"],
    activations: Float[Tensor, "b i"],
    beta_use: Float[Tensor, " j"],
    beta_activate: Float[Tensor, " j"],
    iterations: int = 3,
    *,
    inverse_temperature: float = 0.01,
    form: Form = "paper",
    variance: float | None = None,
    mass: float = _MASS,
    windows: Windows | None = None,
    recompute: bool = False,
) -> RoutingOutput:
    r"""Explain the votes by one Gaussian for each parent, found by expectation and maximisation.

    Each child is a data point of weight a_i, which every parent sees through its own vote. From a uniform
    $r_{ij}$, repeat with $R_{ij} = r_{ij} a_i$ and $R_j = \sum_i R_{ij}$:

    M-step, for each entry h of a pose:
    $\mu_{jh} = \sum_i R_{ij} V_{ijh} / R_j$; $\sigma^2_{jh} = \sum_i R_{ij} (V_{ijh} - \mu_{jh})^2 / R_j$;
    $cost_{jh} = (\beta_{u,j} + \log \sigma_{jh}) R_j$;
    $a_j = \mathrm{sigmoid}(\lambda_t (\beta_{a,j} - \sum_h cost_{jh}))$.

    E-step: $r_{ij} \propto a_j \prod_h N(V_{ijh}; \mu_{jh}, \sigma^2_{jh})$, normalised over all parents that receive
    from child i: with `windows` over types and places, without over j. All of it in logarithms.

    $\lambda_t = \lambda (1 - 0.95^t)$ in iteration t = 1, 2, ...: the paper names a schedule without numbers, this is
    that of the authors' code, which has λ = 0.01 in convolutional layers and a quarter of it in the class layer.

    Args:
        votes: the votes V_ij, matrices as rows of numbers.
        activations: of the children, a_i.
        beta_use: β_u, what a parent pays for each child that it explains.
        beta_activate: β_a, what it costs not to activate a parent.
        iterations: of EM.
        inverse_temperature: λ.
        form: `"paper"`; or `"authors"`, the constants of the authors' code: 0.1 of the mean of the last iteration is
            kept, 5e-4 is added to the variance, $cost_{jh} = (\beta_{u,j} (1 + \log 2\pi) + \log \sigma^2_{jh}) R_j$,
            and -5000 β_a stands in the place of β_a, which so learns 5000 times as fast.
        variance: added to each variance; None: that of the `form`. Where it is far below the variance of the first
            votes, each child goes to one parent at random from the second iteration on, and little is learned.
        mass: added to R_j; 1e-7 in the convolutional layers of the authors' code, 1e-5 in its class layer.
        windows: of a convolutional layer; None: the parents of a window compete among themselves only.
        recompute: store of an iteration only what the next one needs, and compute the rest again in the backward pass:
            the votes are then stored once, and not several times for each iteration.

    Shapes:
        votes `b i j d`, activations `b i`, betas `j`; poses `b j d`, activations `b j`, coupling r `b i j`.

    Raises:
        UserError: fewer than one iteration, an unknown `form`, or a `mass` that is not above 0.

    Differs from the paper:
        1e-4 is added to the variance and `mass` to R_j: identical votes have no variance, and a logarithm of it. In the
        authors' code convolutional parents compete across places within one type only; here across types, too, as in
        the paper.

    Example:
        >>> beta = torch.zeros(5)
        >>> em_routing(torch.randn(2, 256, 5, 16), torch.rand(2, 256), beta, beta).poses.shape
        torch.Size([2, 5, 16])
    """
    check_iterations(iterations)
    _check(form, mass)
    means, evidence, coupling = _infer(
        vote_tensor(votes),
        widen(activations),
        widen(beta_use),
        widen(beta_activate),
        iterations=iterations,
        inverse_temperature=inverse_temperature,
        form=form,
        variance=variance,
        mass=mass,
        windows=windows,
        recompute=recompute,
    )
    return RoutingOutput(*(x.to(votes.dtype) for x in (means, evidence.sigmoid(), coupling)))


def _infer(
    votes: Votes,
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
    recompute: bool,
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
        means, active, coupling, logits = call(_iterate, *arguments, recompute=recompute)
    return means, active, coupling


def _iterate(
    votes: Votes,
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
    coupling = (logits.log_softmax(dim=2) if windows is None else windows.log_softmax(logits)).exp()
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


def _check(form: str, mass: float) -> None:
    if form not in ("paper", "authors"):
        raise UserError(f"form must be 'paper' or 'authors', got {form!r}")
    if not 0 < mass < inf:
        raise UserError(f"mass must be above 0 and finite, got {mass}")


@ROUTINGS.register("em")
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
            Ribeiro et al. do for `variational_bayes`. The paper does not; with few children its activations hardly
            differ.
        beta_use: where β_u starts; the paper does not state it (authors' code: 0.5, in the class layer 2).
        beta_activate: where β_a starts; the paper does not state it (authors' code: 0.5, in the class layer 1).

    Raises:
        UserError: fewer than one iteration, or an unknown option.
    """

    def __init__(
        self,
        num_children: int,
        num_parents: int,
        *,
        parent_dim: int,
        iterations: int = 3,
        inverse_temperature: float = 0.01,
        form: Form = "paper",
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
        _check(form, mass)
        self.inverse_temperature, self.form, self.variance, self.mass = inverse_temperature, form, variance, mass

    def infer(self, windows: Windows | None) -> Infer:
        """`em_routing` without its last sigmoid."""
        return partial(
            _infer,
            iterations=self.iterations,
            inverse_temperature=self.inverse_temperature,
            form=self.form,
            variance=self.variance,
            mass=self.mass,
            windows=windows,
            recompute=self.recompute,
        )

    def extra_repr(self) -> str:
        return (
            f"{super().extra_repr()}, inverse_temperature={self.inverse_temperature:g}, form={self.form!r}, "
            f"variance={self.variance}, mass={self.mass:g}"
        )
