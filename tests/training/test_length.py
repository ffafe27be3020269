import pytest

from capsnet.runs import RunConfig
from capsnet.training.length import describe_length


def lengths(old, new, **options):
    return (RunConfig.from_defaults(steps=steps, lr=0.1, **options) for steps in (old, new))


def test_a_longer_one_cycle_says_where_its_rate_goes():
    before, after = lengths(100, 200, schedule="one-cycle")
    last, following = before.optimizer.learning_rate(99, 10), after.optimizer.learning_rate(100, 10)
    assert following > 20 * last
    (note,) = describe_length(before, after, 100, 10)
    assert note.startswith(f"the learning rate goes from {last:.3g} to {following:.3g}: one-cycle is over 200 steps")


def test_a_loss_with_a_schedule_is_named():
    (note,) = describe_length(*lengths(100, 200), 100, 10, "spread")
    assert note == "the schedule of the spread loss is over 200 steps now, not 100"


@pytest.mark.parametrize(("new", "step", "loss"), [(200, 100, "margin"), (100, 50, "spread"), (200, 0, "spread")])
def test_nothing_is_said_where_nothing_changes(new, step, loss):
    assert describe_length(*lengths(100, new), step, 10, loss) == ()
