"""The reduced schedule of the quick budgets: minutes on two CPU cores for a whole table.

Training is one pass over the images, so each batch's training error is measured on new images.
"""

from collections.abc import Mapping

from capsnet.studies.study import Budget, Changes

QUICK_IMAGES, QUICK_BATCH = 8_000, 32
QUICK: Changes = {
    "epochs": 1,
    "limit": QUICK_IMAGES,
    "batch_size": QUICK_BATCH,
    "schedule": "one-cycle",
    "lr": 1e-3,
    "validation": 0,
}
FULL_WORDS = (
    "60,000 training images, 640 epochs in steps of 128 (300,160 steps); Adam at 0.001 × 0.96 each 2,000 steps; "
    "the last step is tested"
)


def quick_words(images: int, what: str = "training images") -> str:
    """The schedule in words, with its number of images."""
    return (
        f"{images:,} {what}, one pass in {-(-images // QUICK_BATCH)} steps of {QUICK_BATCH}; "
        "Adam with a one-cycle learning rate, at most 0.001; the last step is tested"
    )


QUICK_WORDS = quick_words(QUICK_IMAGES)


def quick(
    seeds: int, rows: Mapping[str, Changes] | None = None, labels: Mapping[str, str] | None = None, words: str = ""
) -> Budget:
    """Make a quick budget, with changes and label suffixes of single rows."""
    return Budget(QUICK_WORDS + words, seeds, QUICK, rows or {}, labels or {})


def quick_of(images: int, seeds: int, what: str = "training images") -> Budget:
    """Make a quick budget with a given number of images, for recipes whose length is a number of steps."""
    return Budget(quick_words(images, what), seeds, {**QUICK, "steps": None, "limit": images})
