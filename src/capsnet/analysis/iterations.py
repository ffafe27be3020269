"""Effect of the number of routing iterations on coupling, class and loss, for a trained model's votes.

Paik, Kwak, Kim, "Capsule Networks Need an Improved Routing Algorithm", ACML 2019.
"""

import copy
from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.analysis.registry import ANALYSES, Analysis
from capsnet.analysis.routing import same_leakiness, t_score
from capsnet.analysis.statistics import Share, wilson
from capsnet.analysis.watch import find_class_layer, watch
from capsnet.capsules import Capsules, RoutingOutput
from capsnet.data import ImageData
from capsnet.errors import UserError
from capsnet.functional import squash
from capsnet.layers import DenseCapsules
from capsnet.losses import margin_loss
from capsnet.models import CapsuleModel
from capsnet.routing import DynamicRouting, Routing

# elements of the votes of a batch
_MOST_VOTES = 2**23


class IterationStep(TypedDict):
    """Results with another number of routing iterations and nothing else changed.

    Args:
        iterations: number of iterations.
        accuracy: correctly classified images.
        flipped_from_first: images whose class is not that of one iteration (uniform coupling, for dynamic routing).
        flipped_from_own: images whose class is not that of the number of iterations in training.
        t_score: mean over children and images.
        coupling_change: share of a child's coupling that the last iteration moved; None where the count before was not
            run.
        margin_loss: mean over images.
    """

    iterations: int
    accuracy: Share
    flipped_from_first: Share
    flipped_from_own: Share
    t_score: float
    coupling_change: float | None
    margin_loss: float


class RandomCoupling(TypedDict):
    """Results with random coupling instead of routing."""

    accuracy: Share
    flipped_from_own: Share


class IterationStatistics(TypedDict):
    """Steps in ascending order; `own` is the number of iterations in training."""

    routing: str
    own: int
    steps: list[IterationStep]
    random: RandomCoupling | None


def make_votes(layer: DenseCapsules, children: Capsules) -> Float[Tensor, "b i j d"]:
    """The votes of a layer's children, which a fused kernel never stores."""
    votes: Tensor = layer.votes(layer.gather(children))
    return votes


def route(routing: Routing, votes: Float[Tensor, "b i j d"], children: Capsules, iterations: int) -> RoutingOutput:
    """Run a routing's plain version with another number of iterations; the routing itself is not changed.

    Args:
        routing: of a layer.
        votes: of its children.
        children: as the layer gathers them.
        iterations: of routing.

    Raises:
        UserError: it has no iterations.
    """
    if routing.iterations is None:
        raise UserError(f"{type(routing).__name__} has no iterations")
    changed = copy.copy(routing)
    changed.iterations = iterations
    output: RoutingOutput = changed(votes, children.activations, poses=children.poses)
    return output


def route_at_random(routing: DynamicRouting, votes: Float[Tensor, "b i j d"], generator: torch.Generator) -> Tensor:
    """Lengths of the parents under random coupling, uniform on the simplex for each child.

    Shapes:
        votes `b i j d`, result `b j`.
    """
    # normalised exponential variates are uniform on the simplex
    weights = torch.empty(votes.shape[:3]).exponential_(generator=generator).to(votes)
    total = torch.einsum("bij,bijd->bjd", weights / weights.sum(dim=-1, keepdim=True), votes)
    lengths: Tensor = squash(total if routing.bias is None else total + routing.bias).norm(dim=-1)
    return lengths


@torch.no_grad()
def measure_iterations(
    model: CapsuleModel, data: ImageData, *, beyond: int = 3, more: tuple[int, ...] = (5, 10), seed: int = 0
) -> IterationStatistics:
    """Route a model's votes with other numbers of iterations.

    Args:
        model: its last capsule layer has a routing with iterations.
        data: images.
        beyond: evaluate from one iteration up to this many more than the model's own.
        more: further numbers of iterations.
        seed: of the random coupling.

    Raises:
        UserError: the model has no such layer or routing, its routing returns no coupling, or its classes are not the
            activations of that layer.
    """
    layer = find_class_layer(model)
    own = layer.routing.iterations
    if own is None:
        raise UserError(f"{type(layer.routing).__name__} has no iterations")
    if not layer.routing.activates:
        raise UserError("the model does not score its classes by activations of its last routing")
    counts = sorted({*range(1, own + beyond + 1), *more})
    totals = {count: _Total() for count in counts}
    random, dynamic = _Total(), isinstance(layer.routing, DynamicRouting)
    generator = torch.Generator().manual_seed(seed)
    for batch in watch(model, data, batch_size=_batch_size(layer)):
        assert batch.children is not None
        votes, children = make_votes(layer, batch.children), layer.gather(batch.children)
        outputs = {count: route(layer.routing, votes, children, count) for count in counts}
        _check_own(outputs[own].activations, batch.output.lengths)
        for count in counts:
            before = outputs.get(count - 1)
            totals[count].add(outputs[count], batch.labels, before)
        if isinstance(layer.routing, DynamicRouting):
            random.add_lengths(route_at_random(layer.routing, votes, generator), batch.labels)
    first, kept = totals[1].classes, totals[own].classes
    return {
        "routing": type(layer.routing).__name__,
        "own": own,
        "steps": [totals[count].finish(count, first, kept) for count in counts],
        "random": {
            "accuracy": wilson(random.correct, len(data)),
            "flipped_from_own": wilson(_differing(random.classes, kept), len(data)),
        }
        if dynamic
        else None,
    }


def _check_own(activations: Tensor, lengths: Tensor) -> None:
    """Refuse a model whose scores are other numbers than the activations of its last layer."""
    # fused and plain routing round differently
    if activations.shape != lengths.shape or not torch.allclose(activations, lengths, rtol=1e-3, atol=1e-3):
        raise UserError("the model does not score its classes by the activations of its last capsule layer")


class _Total:
    """Sums over batches of one number of iterations."""

    def __init__(self) -> None:
        self.correct, self.score, self.change, self.loss, self.changes = 0, 0.0, 0.0, 0.0, False
        self.classes: list[int] = []
        self.leaky: bool | None = None

    def add_lengths(self, lengths: Tensor, labels: Tensor) -> None:
        predicted = lengths.argmax(dim=1)
        self.correct += int((predicted == labels).sum())
        self.classes += predicted.tolist()
        self.loss += float(margin_loss(lengths, labels, reduction="sum"))

    def add(self, output: RoutingOutput, labels: Tensor, before: RoutingOutput | None) -> None:
        self.add_lengths(output.activations, labels)
        if output.coupling is None:
            raise UserError("the model's routing returns no coupling")
        self.leaky = same_leakiness(output.coupling, self.leaky)
        self.score += float(t_score(output.coupling, leaky=self.leaky).mean(dim=1).sum())
        if before is not None and before.coupling is not None:
            moved = (output.coupling - before.coupling).abs().sum(dim=-1) / 2
            self.change += float(moved.mean(dim=1).sum())
            self.changes = True

    def finish(self, count: int, first: list[int], own: list[int]) -> IterationStep:
        n = len(self.classes)
        return {
            "iterations": count,
            "accuracy": wilson(self.correct, n),
            "flipped_from_first": wilson(_differing(self.classes, first), n),
            "flipped_from_own": wilson(_differing(self.classes, own), n),
            "t_score": self.score / n,
            "coupling_change": self.change / n if self.changes else None,
            "margin_loss": self.loss / n,
        }


def _differing(ours: list[int], theirs: list[int]) -> int:
    return sum(first != second for first, second in zip(ours, theirs, strict=True))


def _batch_size(layer: DenseCapsules) -> int:
    return max(1, min(32, _MOST_VOTES // ((layer.num_children or 1) * layer.num_parents * layer.parent_dim)))


def say_iterations(results: IterationStatistics) -> str:
    """Summarise the results in a sentence or two."""
    steps = {step["iterations"]: step for step in results["steps"]}
    own, first = steps[results["own"]], steps[1]
    flips = own["flipped_from_first"]
    text = (
        f"{flips['count']:,} of {flips['n']:,} images change their class between one iteration "
        f"{'(uniform coupling) ' if results['random'] is not None else ''}and the {results['own']} of this model "
        f"({100 * flips['share']:.1f} %, 95 % interval {100 * flips['low']:.1f} to {100 * flips['high']:.1f} %); "
        f"{100 * first['accuracy']['share']:.1f} % are correct with one, {100 * own['accuracy']['share']:.1f} % with "
        f"{results['own']}, {100 * results['steps'][-1]['accuracy']['share']:.1f} % with "
        f"{results['steps'][-1]['iterations']}."
    )
    if own["coupling_change"] is not None:
        text += (
            f" The last iteration moves {100 * own['coupling_change']:.1f} % of a capsule's coupling to other classes."
        )
    if results["random"] is not None:
        text += f" With random coupling {100 * results['random']['accuracy']['share']:.1f} % are correct."
    return text


ANALYSES.add(
    "iterations",
    Analysis(
        "Routing iterations",
        measure_iterations,
        say_iterations,
        "The number of iterations is changed after training only. Few flips mean that routing decides little in this "
        "trained network, not that a network trained without it would do as well: for that, train with "
        "--iterations 1 and compare several seeds.",
        images=250,
        quick_images=48,
        settings={"beyond": 3, "more": (5, 10)},
        quick_settings={"beyond": 1},
        draws=True,
    ),
)
