"""What changes in a run that is resumed with another length: schedules that stretch over the whole run."""

import sys

from capsnet.losses import LOSSES
from capsnet.runs.config import RunConfig
from capsnet.runs.folder import Run


def print_length(run: Run, step: int, steps_per_epoch: int, loss: str = "") -> None:
    """Print `describe_length` of a run whose folder still holds its configuration until now."""
    before = Run.open(run.folder).config
    for note in describe_length(before, run.config, step, steps_per_epoch, loss):
        print(f"capsnet: {note}", file=sys.stderr)


def describe_length(
    before: RunConfig, after: RunConfig, step: int, steps_per_epoch: int, loss: str = ""
) -> tuple[str, ...]:
    """What a person should know of a resumed run whose number of steps changed; empty if nothing else changes.

    Args:
        before: of the run until now.
        after: with its new length.
        step: steps that are done.
        steps_per_epoch: of the run.
        loss: name of its class loss.
    """
    old, new = (config.optimizer.total_steps(steps_per_epoch) for config in (before, after))
    if old == new or step in (0, new):
        return ()
    notes = []
    if after.optimizer.schedule == "one-cycle":
        last = before.optimizer.learning_rate(step - 1, steps_per_epoch)
        following = after.optimizer.learning_rate(step, steps_per_epoch)
        notes.append(
            f"the learning rate goes from {last:.3g} to {following:.3g}: one-cycle is over {new:,} steps now, not "
            f"{old:,}, and {step:,} are done"
        )
    if loss in LOSSES and LOSSES.get(loss).changes:
        notes.append(f"the schedule of the {LOSSES.get(loss).words} is over {new:,} steps now, not {old:,}")
    return tuple(notes)
