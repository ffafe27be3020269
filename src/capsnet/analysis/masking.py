"""Whether gradients hide a weakness that attacks would otherwise find.

Athalye, Carlini, Wagner, "Obfuscated Gradients Give a False Sense of Security", ICML 2018, section 3.1;
Carlini et al., "On Evaluating Adversarial Robustness", 2019.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict

from capsnet.analysis.attacks import Loss
from capsnet.analysis.statistics import wilson

# from this change on every image can be made grey
_LARGE = 0.5


class MaskingCheck(TypedDict):
    """One sign that gradients hide weakness, if it fails.

    Args:
        name: what holds for gradients that show the way.
        passed: whether it holds here.
        numbers: what was compared.
    """

    name: str
    passed: bool
    numbers: dict[str, float]


@dataclass(frozen=True)
class Evidence:
    """What the checks compare; accuracies are shares of the same images.

    Args:
        n: images.
        chance: one over the number of classes.
        epsilons: largest changes of a pixel, rising.
        place: of the epsilon in them at which attacks are compared.
        accuracy: at each epsilon, by attack and loss; random signs are `("random", "")`.
        zero: share of images whose gradient is zero everywhere, by loss.
        rise: cross-entropy at the images, a first epsilon along the gradient, and as far in random directions.
        walked: accuracy after each number of steps.
        searched: accuracy under the search without gradients; None where it was left out.
        queries: of the search.
    """

    n: int
    chance: float
    epsilons: Sequence[float]
    place: int
    accuracy: Mapping[tuple[str, str], Sequence[float]]
    zero: Mapping[Loss, float]
    rise: tuple[float, float, float]
    walked: Mapping[int, float]
    searched: float | None
    queries: int

    def at_most(self, one: float, other: float) -> bool:
        """Whether an accuracy is no higher than another, or by a single image."""
        return one <= other + 1 / self.n + 1e-9


def check_gradients(seen: Evidence) -> list[MaskingCheck]:
    """All checks that the attacks done allow."""
    before, along, random = seen.rise
    walked = list(seen.walked.values())
    checks = [
        _check(
            "the cross-entropy has a gradient at every image",
            seen.zero["cross-entropy"] == 0,
            zero_gradient_share=seen.zero["cross-entropy"],
            zero_gradient_share_of_margin_loss=seen.zero["margin"],
        ),
        _check(
            "the loss rises more along the gradient than in random directions",
            along > random,
            epsilon=seen.epsilons[0],
            rise_along_gradient=along - before,
            rise_at_random=random - before,
        ),
        _check(
            "more steps never help the defender",
            all(seen.at_most(later, earlier) for earlier, later in pairwise(walked)),
            **{f"accuracy_after_{count}": value for count, value in seen.walked.items()},
        ),
    ]
    strong = next((name for name in ("pgd", "bim") if (name, "cross-entropy") in seen.accuracy), None)
    return checks if strong is None else checks + _compare(seen, strong)


def _compare(seen: Evidence, strong: str) -> list[MaskingCheck]:
    """Checks of an attack of many steps against weaker ones."""
    iterated, place = seen.accuracy[strong, "cross-entropy"], seen.place
    attacked, noise = iterated[place], seen.accuracy["random", ""][place]
    checks = []
    if ("fgsm", "cross-entropy") in seen.accuracy:
        single = seen.accuracy["fgsm", "cross-entropy"][place]
        name = "many steps do at least as much as one"
        checks.append(_check(name, seen.at_most(attacked, single), one_step=single, many_steps=attacked))
    by_margin = seen.accuracy[strong, "margin"][place]
    checks += [
        _check("random signs do less than the attack", noise >= attacked, random=noise, attack=attacked),
        _check(
            "the margin loss attacks as well as the cross-entropy",
            by_margin <= wilson(round(attacked * seen.n), seen.n)["high"],
            by_margin_loss=by_margin,
            by_cross_entropy=attacked,
        ),
    ]
    if seen.epsilons[-1] >= _LARGE:
        low = wilson(round(iterated[-1] * seen.n), seen.n)["low"]
        name = "a large change reaches chance"
        checks.append(_check(name, low <= seen.chance, accuracy=iterated[-1], chance=seen.chance))
    if seen.searched is not None:
        checks.append(
            _check(
                "a search without gradients does not find more",
                seen.at_most(attacked, seen.searched),
                without_gradients=seen.searched,
                with_gradients=attacked,
                queries=float(seen.queries),
            )
        )
    return checks


def _check(name: str, passed: bool, **numbers: float) -> MaskingCheck:
    return {"name": name, "passed": passed, "numbers": numbers}
