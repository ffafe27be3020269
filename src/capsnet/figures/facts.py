"""Statements about a run for captions and reports, computed from its files."""

from capsnet.runs.folder import Run
from capsnet.runs.splits import read_splits


def count_learned(run: Run) -> int | None:
    """Number of training images without held-out ones; None if the run has no record."""
    splits = read_splits(run.folder)
    counts = None if splits is None else splits.get("counts")
    count = counts.get("train") if isinstance(counts, dict) else None
    if not isinstance(count, int):
        return None
    return min(count, run.config.data.limit) if run.config.data.limit else count


def describe_beginner(run: Run) -> str:
    """A warning that a network is barely trained, with its numbers; empty for others.

    That is so if its test accuracy is less than halfway from the share of the most frequent class to 1. For pairs,
    from the share of the two most frequent classes, and the accuracy is that of single digits.
    """
    result = run.evaluation()
    if result is None:
        return ""
    test = result["test"]
    rows = sorted(sum(row) for row in test["confusion"])
    accuracy, frequent, counted = test["accuracy"], 1, ""
    if "digit_error_percent" in test:
        accuracy, frequent, counted = 1 - test["digit_error_percent"] / 100, 2, " of single digits"
    constant = sum(rows[-frequent:]) / max(sum(rows), 1)
    if accuracy >= constant + 0.5 * (1 - constant):
        return ""
    steps = f"after {result['step']:,} steps " if run.imported() is None else ""
    classes = "two most frequent classes" if frequent == 2 else "most frequent class"
    return (
        f"This network is barely trained: {steps}its test accuracy{counted} is {100 * accuracy:.2f} %; "
        f"always predicting the {classes} would give {100 * constant:.2f} %. "
        "What the figures show of capsules and routing may change with more training."
    )
