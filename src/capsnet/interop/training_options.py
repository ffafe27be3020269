"""The options of a run that an estimator takes, and its learning-rate schedule."""

from collections.abc import Mapping
from typing import Literal

from capsnet.errors import UserError
from capsnet.registry import did_you_mean

Schedule = Literal["one-cycle", "constant"]
"""Learning rate where `options` choose none."""

# options of a run that apply to training on arrays
_OPTIONS = frozenset(
    (
        *("routing", "iterations", "optimizer", "momentum", "weight_decay", "schedule", "lr_decay", "lr_decay_steps"),
        *("lr_milestones", "lr_floor", "shift_interpolation", "shift_fill", "distortions", "rotation"),
        *("rotation_chance", "squeeze", "place", "erase", "erase_corners", "flip", "brightness", "contrast"),
        *("standardize", "balance", "precision", "execution"),
    )
)
_DECAY = frozenset(("lr_decay", "lr_decay_steps", "lr_floor"))


def choose_options(options: Mapping[str, object], schedule: Schedule) -> dict[str, object]:
    """The options with a schedule: their own; exponential if they have only a decay, which no other schedule applies.

    Args:
        options: of a run by their names.
        schedule: where the options have neither a schedule nor a decay.

    Raises:
        UserError: an option that an estimator does not take.
    """
    for name in options:
        if name not in _OPTIONS:
            raise UserError(
                f"options has no {name!r};{did_you_mean(name, _OPTIONS)} Known: {', '.join(sorted(_OPTIONS))}"
            )
    if "schedule" in options:
        return {**options}
    if not _DECAY.isdisjoint(options):
        return {"schedule": "exponential", **options}
    own = {"schedule": "one-cycle"} if schedule == "one-cycle" else {"schedule": "exponential", "lr_decay": 1.0}
    return {**own, **options}
