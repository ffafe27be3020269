"""How sharply children are routed to classes, and how much that varies between images.

T-score: Peer, Stabinger, Rodríguez-Sánchez, "Increasing the adversarial robustness and explainability of capsule
networks with γ-capsules", 2018; entropy of routing: Renzulli, Tartaglione, Grangetto, "REM: Routing Entropy
Minimization for Capsule Networks", 2022.
Deviation over images: Mitterreiter, Koch, Giesen, Laue, "Why Capsule Neural Networks Do Not Scale: Challenging the
Dynamic Parse-Tree Assumption", AAAI 2023.
"""

from math import log
from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.analysis.registry import ANALYSES, Analysis
from capsnet.analysis.statistics import rounded
from capsnet.analysis.watch import has_activations, watch
from capsnet.data import ImageData
from capsnet.errors import UserError
from capsnet.models import CapsuleModel


class RoutingStatistics(TypedDict):
    """Statistics of a model's coupling.

    Args:
        children: number of child capsules.
        classes: number of parents.
        leaky: a child may also go to no parent, which counts as one more outcome.
        entropy: mean over children and images, in nats.
        even_entropy: entropy of uniform coupling, the largest possible.
        t_score: mean of 1 - entropy / even_entropy.
        weighted_t_score: mean T-score weighted by the children's lengths.
        winner_coupling: mean coupling of a child to the longest class capsule.
        coupling_std: standard deviation of a coupling over images, mean over children and classes.
        t_scores: mean over images, of each child.
        activations: mean over images, of each child; empty where the model does not expose its children.
        coupling_stds: mean over classes, of each child.
    """

    children: int
    classes: int
    leaky: bool
    entropy: float
    even_entropy: float
    t_score: float
    weighted_t_score: float | None
    winner_coupling: float
    coupling_std: float
    t_scores: list[float]
    activations: list[float]
    coupling_stds: list[float]


def coupling_entropy(coupling: Float[Tensor, "b i j"], *, leaky: bool = False) -> Float[Tensor, "b i"]:
    r"""Entropy of a child's coupling, $H_i = -\sum_j c_{ij} \ln c_{ij}$, in nats and float64.

    Args:
        coupling: shares of each child.
        leaky: the rest of a child's coupling goes to no parent, and counts as one more outcome.
    """
    if leaky:
        coupling = torch.cat([coupling, (1 - coupling.sum(dim=-1, keepdim=True)).clamp(min=0)], dim=-1)
    entropy: Tensor = torch.special.entr(coupling.double()).sum(dim=-1)
    return entropy


def t_score(coupling: Float[Tensor, "b i j"], *, leaky: bool = False) -> Float[Tensor, "b i"]:
    r"""How sharply a child is routed: $T_i = 1 - H_i / \ln J$; 0 for uniform coupling, 1 for all to one parent.

    Raises:
        UserError: there is a single outcome.
    """
    outcomes = coupling.shape[-1] + leaky
    if outcomes < 2:
        raise UserError("with a single class there is nothing to route between")
    # rounding may take an even division below 0
    return (1 - coupling_entropy(coupling, leaky=leaky) / log(outcomes)).clamp(0, 1)


def is_leaky(coupling: Float[Tensor, "b i j"]) -> bool:
    """Whether part of a child's coupling goes to no parent.

    Raises:
        UserError: the coupling of a child is negative or sums to more than one.
    """
    sums = coupling.sum(dim=-1)
    if bool((sums > 1 + 1e-3).any()) or bool((coupling < -1e-6).any()):
        raise UserError("the coupling of a child does not sum to one over the classes, so it has no T-score")
    return bool((sums < 1 - 1e-3).any())


def same_leakiness(coupling: Float[Tensor, "b i j"], before: bool | None) -> bool:
    """`is_leaky` of a batch, which must be that of the batches before; None: there were none.

    Raises:
        UserError: it differs, or `is_leaky` refuses the coupling.
    """
    leaky = is_leaky(coupling)
    if before is not None and leaky is not before:
        raise UserError("a child's coupling sums to one over the classes for some images only, so it has no T-score")
    return leaky


@torch.no_grad()
def measure_routing(model: CapsuleModel, data: ImageData) -> RoutingStatistics:
    """Measure entropy, T-score and deviation over images of a model's last coupling.

    Raises:
        UserError: the model returns no coupling, or a child's coupling is negative or sums to more than one.
    """
    scores, lengths, firsts, squares = [], [], [], []
    to_winner, leaky = 0.0, None
    for batch in watch(model, data):
        coupling = batch.output.coupling
        if coupling is None:
            raise UserError("the model's routing returns no coupling")
        leaky = same_leakiness(coupling, leaky)
        scores.append(t_score(coupling, leaky=leaky).double().sum(dim=0))
        if batch.children is not None:
            lengths.append(batch.children.activations.double().sum(dim=0))
        firsts.append(coupling.double().sum(dim=0))
        squares.append(coupling.double().square().sum(dim=0))
        winner = batch.output.lengths.argmax(dim=1)
        chosen = coupling.gather(2, winner[:, None, None].expand(-1, coupling.shape[1], 1))
        to_winner += float(chosen.double().mean(dim=1).sum())
    count = len(data)
    per_child = (torch.stack(scores).sum(dim=0) / count).cpu()
    first, second = (torch.stack(sums).sum(dim=0).cpu() / count for sums in (firsts, squares))
    deviations = (second - first.square()).clamp(min=0).sqrt().mean(dim=1)
    activations = (torch.stack(lengths).sum(dim=0) / count).cpu() if lengths else None
    children, classes = first.shape
    even = log(classes + bool(leaky))
    mean = float(per_child.mean())
    weighted = None
    if activations is not None and float(activations.sum()) > 0 and has_activations(activations):
        weighted = float((per_child * activations).sum() / activations.sum())
    return {
        "children": children,
        "classes": classes,
        "leaky": bool(leaky),
        "entropy": (1 - mean) * even,
        "even_entropy": even,
        "t_score": mean,
        "weighted_t_score": weighted,
        "winner_coupling": to_winner / count,
        "coupling_std": float(deviations.mean()),
        "t_scores": rounded(per_child),
        "activations": [] if activations is None else rounded(activations),
        "coupling_stds": rounded(deviations),
    }


def say_routing(results: RoutingStatistics) -> str:
    """Summarise the results in a sentence or two."""
    text = (
        f"Mean T-score {results['t_score']:.2g} (0: every class gets the same share; 1: everything goes to one), "
        f"entropy {results['entropy']:.4f} of at most {results['even_entropy']:.4f} nats. "
    )
    if results["weighted_t_score"] is not None:
        text += f"Weighted by the capsules' lengths, the T-score is {results['weighted_t_score']:.2g}. "
    return text + (
        f"The longest class gets {100 * results['winner_coupling']:.1f} % of a capsule's coupling; an even share is "
        f"{100 / (results['classes'] + results['leaky']):.1f} %; the coupling's standard deviation over images is "
        f"{results['coupling_std']:.4f}."
    )


ANALYSES.add(
    "routing",
    Analysis(
        "Routing",
        measure_routing,
        say_routing,
        "A T-score near 0 and a small deviation mean that this routing is close to uniform, static coupling: do "
        "not interpret it as a parse tree. A high T-score does not show that the parts are meaningful, nor that "
        "routing helped the accuracy.",
        images=500,
        quick_images=96,
    ),
)
