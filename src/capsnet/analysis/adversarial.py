"""Accuracy under attack, and checks for gradient masking."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypedDict

import torch
from torch import Tensor

from capsnet.analysis.attacks import (
    Loss,
    attack_loss,
    iterate,
    loss_gradient,
    pgd,
    random_signs,
    random_squares,
)
from capsnet.analysis.masking import Evidence, MaskingCheck, check_gradients
from capsnet.analysis.registry import ANALYSES, Analysis
from capsnet.analysis.statistics import Share, wilson
from capsnet.analysis.watch import frozen, read, view
from capsnet.data import ImageData
from capsnet.errors import UserError
from capsnet.models import CapsuleModel

ATTACKS = ("fgsm", "bim", "pgd")
LOSSES: tuple[Loss, ...] = ("margin", "cross-entropy")
_BATCH = 32


class AttackCurve(TypedDict):
    """Accuracy under one attack at each epsilon; `loss` is empty for random changes."""

    attack: str
    loss: str
    accuracy: list[Share]


class AdversarialResults(TypedDict):
    """All attacks over the same images.

    Args:
        clean: accuracy without attack.
        chance: one over the number of classes.
        epsilons: largest changes of a pixel in [0, 1].
        curves: of each attack.
        worst: accuracy under the strongest attack of `curves` on each image, at each epsilon.
        steps: numbers of steps of one attack at `steps_epsilon`.
        step_accuracy: after each number of steps.
        steps_epsilon: epsilon of `steps` and of the search without gradients.
        checks: for gradient masking.
    """

    clean: Share
    chance: float
    epsilons: list[float]
    curves: list[AttackCurve]
    worst: list[Share]
    steps: list[int]
    step_accuracy: list[Share]
    steps_epsilon: float
    checks: list[MaskingCheck]


class _Attacked(NamedTuple):
    """Results for each image, first axis `m`; for each attack and loss, a list over epsilons."""

    clean: Tensor
    correct: dict[tuple[str, str], list[Tensor]]
    steps: list[Tensor]
    squares: Tensor | None
    zero: dict[Loss, Tensor]
    rise: Tensor


def measure_adversarial(
    model: CapsuleModel,
    data: ImageData,
    *,
    epsilons: Sequence[float] = (0.03, 0.1, 0.2, 0.3, 0.5),
    attacks: Sequence[str] = ATTACKS,
    steps: int = 10,
    step_counts: Sequence[int] = (1, 2, 5, 10, 20),
    steps_epsilon: float = 0.1,
    queries: int = 100,
    seed: int = 0,
) -> AdversarialResults:
    """Attack a model with growing strength, by two losses, and check for gradient masking.

    Args:
        model: its parameters and mode are restored.
        data: images.
        epsilons: largest changes of a pixel.
        attacks: some of `ATTACKS`.
        steps: of BIM and PGD, at least one.
        step_counts: numbers of steps after which one BIM at `steps_epsilon` is evaluated.
        steps_epsilon: one of `epsilons`.
        queries: of the search without gradients; 0 skips it.
        seed: of random starts, signs and squares.

    Raises:
        UserError: an unknown attack, fewer than one step, `steps_epsilon` is none of `epsilons`, or a model with a
            single class.
    """
    unknown = sorted(set(attacks) - set(ATTACKS))
    if unknown:
        raise UserError(f"unknown attack {unknown[0]!r}; known: {', '.join(ATTACKS)}")
    if steps_epsilon not in epsilons:
        raise UserError(f"steps_epsilon must be one of {tuple(epsilons)}, got {steps_epsilon}")
    if len(data.class_names) < 2:
        raise UserError("with a single class no image can be misclassified")
    least = min(steps, *step_counts)
    if least < 1:
        raise UserError(f"an attack needs at least one step, got {least}")
    rising, counts = tuple(sorted(epsilons)), tuple(sorted(set(step_counts)))
    plan = _Plan(rising, tuple(attacks), steps, counts, steps_epsilon, queries)
    generator = torch.Generator().manual_seed(seed)
    device = model.device
    batches = []
    with frozen(model):
        for images, labels in zip(
            torch.split(view(model, data), _BATCH), torch.split(data.labels, _BATCH), strict=True
        ):
            batches.append(_attack(model, images.to(device), labels.to(device), plan, generator))
    return _finish(_join(batches), plan, 1 / len(data.class_names))


class _Plan(NamedTuple):
    epsilons: tuple[float, ...]
    attacks: tuple[str, ...]
    steps: int
    step_counts: tuple[int, ...]
    steps_epsilon: float
    queries: int


def _attack(model: CapsuleModel, images: Tensor, labels: Tensor, plan: _Plan, generator: torch.Generator) -> _Attacked:
    """Run every attack on one batch."""

    @torch.no_grad()
    def is_correct(moved: Tensor) -> Tensor:
        return (read(model, moved).lengths.argmax(dim=1) == labels).cpu()

    masks: dict[tuple[str, str], list[Tensor]] = {}
    slopes = {loss: loss_gradient(model, images, labels, loss) for loss in LOSSES}
    for loss in LOSSES:
        for name in plan.attacks:
            masks[name, loss] = []
            for epsilon in plan.epsilons:
                if name == "fgsm":
                    # one gradient serves every epsilon
                    moved = (images + epsilon * slopes[loss].sign()).clamp(0, 1)
                elif name == "bim":
                    moved = iterate(model, images, labels, epsilon, loss, steps=plan.steps)
                else:
                    moved = pgd(model, images, labels, epsilon, loss, steps=plan.steps, generator=generator)
                masks[name, loss].append(is_correct(moved))
    masks["random", ""] = [is_correct(random_signs(images, epsilon, generator)) for epsilon in plan.epsilons]
    squares = None
    if plan.queries:
        moved = random_squares(model, images, labels, plan.steps_epsilon, queries=plan.queries, generator=generator)
        squares = is_correct(moved)
    return _Attacked(
        clean=is_correct(images),
        correct=masks,
        steps=_step_by_step(model, images, labels, plan, is_correct),
        squares=squares,
        zero={loss: (slope.flatten(1) == 0).all(dim=1).cpu() for loss, slope in slopes.items()},
        rise=_rise(model, images, labels, slopes["cross-entropy"], plan.epsilons[0], generator),
    )


def _step_by_step(
    model: CapsuleModel, images: Tensor, labels: Tensor, plan: _Plan, is_correct: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """One BIM by steps of a quarter of epsilon, evaluated after each number of steps."""
    moved, steps_done, masks = images, 0, []
    for count in plan.step_counts:
        # continue from the last iterate; epsilon still bounds the change from the original image
        moved = iterate(
            model,
            images,
            labels,
            plan.steps_epsilon,
            "cross-entropy",
            steps=count - steps_done,
            step_size=plan.steps_epsilon / 4,
            start=moved,
        )
        steps_done = count
        masks.append(is_correct(moved))
    return masks


@torch.no_grad()
def _rise(
    model: CapsuleModel, images: Tensor, labels: Tensor, slope: Tensor, epsilon: float, generator: torch.Generator
) -> Tensor:
    """Cross-entropy at the image, a step along the gradient's sign, and one of the same size in random directions.

    Shapes:
        result `b 3`.
    """
    points = [images, (images + epsilon * slope.sign()).clamp(0, 1), random_signs(images, epsilon, generator)]
    return torch.stack(
        [attack_loss(read(model, point).lengths, labels, "cross-entropy") for point in points], dim=1
    ).cpu()


def _join(batches: Sequence[_Attacked]) -> _Attacked:
    first = batches[0]
    squares = [batch.squares for batch in batches if batch.squares is not None]
    return _Attacked(
        clean=torch.cat([batch.clean for batch in batches]),
        correct={
            key: [torch.cat([batch.correct[key][k] for batch in batches]) for k in range(len(values))]
            for key, values in first.correct.items()
        },
        steps=[torch.cat([batch.steps[k] for batch in batches]) for k in range(len(first.steps))],
        squares=torch.cat(squares) if squares else None,
        zero={loss: torch.cat([batch.zero[loss] for batch in batches]) for loss in first.zero},
        rise=torch.cat([batch.rise for batch in batches]),
    )


def _share(correct: Tensor) -> Share:
    return wilson(int(correct.sum()), len(correct))


def _finish(attacked: _Attacked, plan: _Plan, chance: float) -> AdversarialResults:
    by_epsilon = [torch.stack([values[k] for values in attacked.correct.values()]) for k in range(len(plan.epsilons))]
    return {
        "clean": _share(attacked.clean),
        "chance": chance,
        "epsilons": [float(epsilon) for epsilon in plan.epsilons],
        "curves": [
            {"attack": attack, "loss": loss, "accuracy": [_share(correct) for correct in values]}
            for (attack, loss), values in attacked.correct.items()
        ],
        "worst": [_share(correct.all(dim=0) & attacked.clean) for correct in by_epsilon],
        "steps": list(plan.step_counts),
        "step_accuracy": [_share(correct) for correct in attacked.steps],
        "steps_epsilon": plan.steps_epsilon,
        "checks": _check(attacked, plan, chance),
    }


def _check(attacked: _Attacked, plan: _Plan, chance: float) -> list[MaskingCheck]:
    """Check the gradients by the accuracies under attack."""
    before, along, random = attacked.rise.mean(dim=0).tolist()
    return check_gradients(
        Evidence(
            n=len(attacked.clean),
            chance=chance,
            epsilons=plan.epsilons,
            epsilon_index=plan.epsilons.index(plan.steps_epsilon),
            accuracy={key: [_mean(correct) for correct in values] for key, values in attacked.correct.items()},
            zero={loss: _mean(values) for loss, values in attacked.zero.items()},
            rise=(before, along, random),
            walked={count: _mean(correct) for count, correct in zip(plan.step_counts, attacked.steps, strict=True)},
            searched=None if attacked.squares is None else _mean(attacked.squares),
            queries=plan.queries,
        )
    )


def _mean(which: Tensor) -> float:
    return float(which.double().mean())


def say_adversarial(results: AdversarialResults) -> str:
    """Summarise the results in a sentence or two."""
    index = results["epsilons"].index(results["steps_epsilon"])
    worst, failed = results["worst"][index], [check["name"] for check in results["checks"] if not check["passed"]]
    passed = len(results["checks"]) - len(failed)
    names = {curve["attack"].upper() if curve["loss"] else "random signs": None for curve in results["curves"]}
    text = (
        f"Of {worst['n']:,} images {100 * results['clean']['share']:.0f} % are classified correctly without an attack; "
        f"{100 * worst['share']:.0f} % withstand {', '.join(names)} with no pixel changed by more than "
        f"{results['steps_epsilon']:g} (95 % interval {100 * worst['low']:.0f} to {100 * worst['high']:.0f} %). "
        f"{passed} of {len(results['checks'])} checks of gradient masking pass"
    )
    return text + ("." if not failed else f"; these do not: {'; '.join(failed)}.")


ANALYSES.add(
    "adversarial",
    Analysis(
        "Adversarial attacks",
        measure_adversarial,
        say_adversarial,
        "Accuracy under attack is an upper bound: a stronger attack may lower it, and passing checks do not prove that "
        "none exists. Where the margin loss does less than the cross-entropy, its gradient is zero at images inside "
        "their margins: the attack stalls there; this is not robustness.",
        images=100,
        quick_images=20,
        settings={
            "epsilons": (0.03, 0.1, 0.2, 0.3, 0.5),
            "attacks": ATTACKS,
            "steps": 10,
            "step_counts": (1, 2, 5, 10, 20),
            "steps_epsilon": 0.1,
            "queries": 100,
        },
        quick_settings={
            "epsilons": (0.05, 0.1, 0.2),
            "attacks": ("fgsm",),
            "step_counts": (1, 4),
            "queries": 0,
        },
        draws=True,
    ),
)
