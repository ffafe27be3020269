"""The reduced schedule that the quick budgets share: minutes on two CPU cores for a whole table.

Each training image is used once, so the training error of a batch is that of images never learned from.
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
        f"one pass over {images:,} {what} in {-(-images // QUICK_BATCH)} steps of {QUICK_BATCH}; Adam, the learning "
        "rate rises to 0.001 in the first fifth of the steps and falls to zero; the last step is tested"
    )


QUICK_WORDS = quick_words(QUICK_IMAGES)


def quick(
    seeds: int, rows: Mapping[str, Changes] | None = None, labels: Mapping[str, str] | None = None, words: str = ""
) -> Budget:
    """A quick budget with its number of seeds, and what is particular to some rows."""
    return Budget(QUICK_WORDS + words, seeds, QUICK, rows or {}, labels or {})


def quick_of(images: int, seeds: int, what: str = "training images") -> Budget:
    """A quick budget of so many images, for recipes whose length is a number of steps."""
    return Budget(quick_words(images, what), seeds, {**QUICK, "steps": None, "limit": images})
