"""What captions may claim of a run: computed from its files, never assumed."""

from capsnet.runs.folder import Run
from capsnet.runs.splits import read_splits


def count_learned(run: Run) -> int | None:
    """The number of images that a run learned from, without those held out; None where it has no record of them."""
    splits = read_splits(run.folder)
    counts = None if splits is None else splits.get("counts")
    count = counts.get("train") if isinstance(counts, dict) else None
    if not isinstance(count, int):
        return None
    return min(count, run.config.data.limit) if run.config.data.limit else count


def describe_beginner(run: Run) -> str:
    """That a network has only begun to learn, with the numbers that show it; nothing of others.

    It has where its accuracy on the test images is less than half of the way from the share of the most frequent class
    to 1.
    """
    result = run.evaluation()
    if result is None:
        return ""
    test = result["test"]
    rows = [sum(row) for row in test["confusion"]]
    constant = max(rows) / max(sum(rows), 1)
    if test["accuracy"] >= constant + 0.5 * (1 - constant):
        return ""
    return (
        f"This network has only begun to learn: after {result['step']:,} steps it classifies "
        f"{100 * test['accuracy']:.2f} % of the test images correctly, where the most frequent class alone would give "
        f"{100 * constant:.2f} %. Read its figures as such: what they show of capsules and routing may change with "
        "more training."
    )
