"""The schedule of an estimator follows from its options."""

import pytest

from capsnet.interop.training_options import choose_options


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
@pytest.mark.parametrize("name", ["lr_decay", "lr_decay_steps", "lr_floor"])
def test_decay_has_an_effect(schedule, name):
    assert choose_options({name: 0.5}, schedule) == {"schedule": "exponential", name: 0.5}


def test_schedule_of_the_options_comes_first():
    options = {"schedule": "step", "lr_milestones": (2,)}
    assert choose_options(options, "constant") == choose_options(options, "one-cycle") == options


def test_without_either_the_estimator_chooses():
    assert choose_options({"flip": True}, "one-cycle") == {"schedule": "one-cycle", "flip": True}
    assert choose_options({}, "constant") == {"schedule": "exponential", "lr_decay": 1.0}
