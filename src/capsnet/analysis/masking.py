"""Checks for gradient masking: gradients that mislead attacks and so overstate robustness.

Athalye, Carlini, Wagner, "Obfuscated Gradients Give a False Sense of Security", ICML 2018, section 3.1;
Carlini et al., "On Evaluating Adversarial Robustness", 2019.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict

from capsnet.analysis.attacks import Loss
from capsnet.analysis.statistics import wilson

# with at least this change, every image can be made uniformly grey
_LARGE = 0.5


class MaskingCheck(TypedDict):
    """One check; a failure is a sign of gradient masking.

    Args:
        name: the property that useful gradients have.
        passed: whether the property holds here.
        numbers: the compared values.
    """

    name: str
    passed: bool
    numbers: dict[str, float]


@dataclass(frozen=True)
class Evidence:
    """Inputs of the checks; accuracies are shares of the same images.

    Args:
        n: number of images.
        chance: one over the number of classes.
        epsilons: largest changes of a pixel, ascending.
        epsilon_index: index in `epsilons` at which attacks are compared.
        accuracy: at each epsilon, by attack and loss; random signs are `("random", "")`.
        zero: share of images whose gradient is zero everywhere, by loss.
        rise: cross-entropy at the images, after a step of the first epsilon along the gradient, and after one of the
            same size in random directions.
        walked: accuracy after each number of steps.
        searched: accuracy under the search without gradients; None if it was skipped.
        queries: of the search.
    """

    n: int
    chance: float
    epsilons: Sequence[float]
    epsilon_index: int
    accuracy: Mapping[tuple[str, str], Sequence[float]]
    zero: Mapping[Loss, float]
    rise: tuple[float, float, float]
    walked: Mapping[int, float]
    searched: float | None
    queries: int

    def at_most(self, accuracy: float, reference: float) -> bool:
        """Whether an accuracy exceeds a reference by at most one image."""
        return accuracy <= reference + 1 / self.n + 1e-9


def check_gradients(evidence: Evidence) -> list[MaskingCheck]:
    """Run all checks for which the evidence suffices."""
    before, along, random = evidence.rise
    walked = list(evidence.walked.values())
    checks = [
        _check(
            "the cross-entropy has a gradient at every image",
            evidence.zero["cross-entropy"] == 0,
            zero_gradient_share=evidence.zero["cross-entropy"],
            zero_gradient_share_of_margin_loss=evidence.zero["margin"],
        ),
        _check(
            "the loss rises more along the gradient than in random directions",
            along > random,
            epsilon=evidence.epsilons[0],
            rise_along_gradient=along - before,
            rise_at_random=random - before,
        ),
        _check(
            "more steps never help the defender",
            all(evidence.at_most(later, earlier) for earlier, later in pairwise(walked)),
            **{f"accuracy_after_{count}": value for count, value in evidence.walked.items()},
        ),
    ]
    strong = next((name for name in ("pgd", "bim") if (name, "cross-entropy") in evidence.accuracy), None)
    return checks if strong is None else checks + _compare(evidence, strong)


def _compare(evidence: Evidence, strong: str) -> list[MaskingCheck]:
    """Compare an attack of many steps with weaker attacks."""
    iterated, index = evidence.accuracy[strong, "cross-entropy"], evidence.epsilon_index
    attacked, noise = iterated[index], evidence.accuracy["random", ""][index]
    checks = []
    if ("fgsm", "cross-entropy") in evidence.accuracy:
        single = evidence.accuracy["fgsm", "cross-entropy"][index]
        name = "many steps do at least as much as one"
        checks.append(_check(name, evidence.at_most(attacked, single), one_step=single, many_steps=attacked))
    by_margin = evidence.accuracy[strong, "margin"][index]
    checks += [
        _check("random signs do less than the attack", noise >= attacked, random=noise, attack=attacked),
        _check(
            "the margin loss attacks as well as the cross-entropy",
            by_margin <= wilson(round(attacked * evidence.n), evidence.n)["high"],
            by_margin_loss=by_margin,
            by_cross_entropy=attacked,
        ),
    ]
    if evidence.epsilons[-1] >= _LARGE:
        low = wilson(round(iterated[-1] * evidence.n), evidence.n)["low"]
        name = "a large change reaches chance"
        checks.append(_check(name, low <= evidence.chance, accuracy=iterated[-1], chance=evidence.chance))
    if evidence.searched is not None:
        checks.append(
            _check(
                "a search without gradients does not find more",
                evidence.at_most(attacked, evidence.searched),
                without_gradients=evidence.searched,
                with_gradients=attacked,
                queries=float(evidence.queries),
            )
        )
    return checks


def _check(name: str, passed: bool, **numbers: float) -> MaskingCheck:
    return {"name": name, "passed": passed, "numbers": numbers}
