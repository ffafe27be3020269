"""The conclusions of CapsNet_Project's README, each beside what our two runs show, and the time of an epoch.

A rule decides whether a run agrees with a conclusion; the page states the rule and the numbers. Conclusions about the
end of the training have a verdict only if the runs have as many epochs as the source's.
"""

import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from capsnet.recipes import RECIPES
from capsnet.runs import Run
from capsnet.runs.epochs import Epoch, read_epochs

SAME = 0.1
"""Two losses are in the same range if they differ by at most this share of the lower one."""
FEW = 5
"""The initial epochs."""


def conclusions(folder: Path, seed: int = 0) -> str:
    """A numbered list for the study's page; empty until both runs are finished.

    Args:
        folder: the study's folder, which holds `runs`.
        seed: seed of both runs.
    """
    runs = [Run.open(path) for path in (folder / "runs" / f"{row}-seed{seed}" for row in ("r2", "r3")) if path.is_dir()]
    results = [run.evaluation() for run in runs]
    # the source plots the total loss, with the weighted reconstruction loss
    epochs = [read_epochs([{**row, "margin_loss": row["loss"]} for row in run.metrics()]) for run in runs]
    if len(runs) < 2 or None in results:
        return ""
    errors = [100 * (1 - result["test_last"]["accuracy"]) for result in results if result is not None]
    return describe(epochs[0], epochs[1], (errors[0], errors[1]))


def describe(two: Sequence[Epoch], three: Sequence[Epoch], test_errors: tuple[float, float]) -> str:
    """The list, and a paragraph about the time of an epoch.

    Args:
        two: epochs of the run with 2 routing iterations; their loss is the total loss.
        three: with 3, as many.
        test_errors: their test errors of the last step in percent.
    """
    few = min(FEW, len(two))
    source = RECIPES.get("capsnet-project-mnist").config.optimizer.epochs
    complete = source is not None and len(two) >= source
    first, last = _apart(two[0].loss, three[0].loss), _apart(two[-1].loss, three[-1].loss)
    falls = [run[0].loss / run[few - 1].loss for run in (two, three)]
    train_errors = [100 * (1 - run[-1].accuracy) for run in (two, three)]
    gaps = [test - train for test, train in zip(test_errors, train_errors, strict=True)]
    seconds = [statistics.median(epoch_seconds(run)) for run in (two, three)]
    return "\n\n".join(
        (
            "1. *Different numbers of iterations give different losses in the initial epochs; after enough epochs the "
            "losses are in the same range.* In the first epoch the mean total losses of r = 2 and r = 3 on training "
            "images (margin loss and weighted reconstruction loss, as in the source's plot) are "
            f"{two[0].loss:.4f} and {three[0].loss:.4f}; they differ by {100 * first:.0f} % of the lower one. In epoch "
            f"{len(two)} they are {two[-1].loss:.2g} and {three[-1].loss:.2g}, and differ by {100 * last:.0f} %. "
            f"{_verdict(first > SAME >= last, complete or first <= SAME)}. The rule: the losses differ by more than "
            f"{100 * SAME:.0f} % in the first epoch, and by at most {100 * SAME:.0f} % in the last.",
            "2. *With 2 iterations the loss is high at first and falls steeply within a few epochs; with 3 it starts "
            f"low and falls slowly.* From epoch 1 to {few} the loss of r = 2 falls by a factor of {falls[0]:.1f}, that "
            f"of r = 3 by {falls[1]:.1f}. {_verdict(two[0].loss > three[0].loss and falls[0] > falls[1], few > 1)}. "
            "The rule: r = 2 has the higher loss in the first epoch, and falls by the larger factor.",
            "3. *More iterations increase the network's capacity, and it tends to overfit.* In epoch "
            f"{len(two)} r = 2 and r = 3 have {train_errors[0]:.2f} and {train_errors[1]:.2f} % error on training "
            f"images and {test_errors[0]:.2f} and {test_errors[1]:.2f} % on test images: gaps of {gaps[0]:.2f} and "
            f"{gaps[1]:.2f} points. "
            f"{_verdict(train_errors[1] < train_errors[0] and gaps[1] > gaps[0], complete)}. The rule: "
            "r = 3 has the lower training error and the wider gap.",
            "4. *The paper leaves open questions about details of the network, because its authors did not provide "
            "their code.* They have released code since; [paper-or-code](paper-or-code.md) measures its differences "
            "from the text.",
            "Its README also gives the time of an epoch: 285 s with 2 iterations and 448 s with 3, 1.57 times as long. "
            f"Here the medians are {seconds[0]:,.0f} and {seconds[1]:,.0f} s, {seconds[1] / seconds[0]:.2f} times as "
            "long.",
        )
    )


def epoch_seconds(epochs: Sequence[Epoch]) -> list[float]:
    """Seconds of each epoch, tests left out."""
    return [end - start for start, end in pairwise([0.0, *(epoch.seconds for epoch in epochs)])]


def _apart(one: float, other: float) -> float:
    return abs(one - other) / min(one, other)


def _verdict(agrees: bool, enough: bool) -> str:
    if not enough:
        return "**Too early to say**"
    return "**Our runs agree**" if agrees else "**Our runs do not agree**"
