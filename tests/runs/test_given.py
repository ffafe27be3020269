import pytest

from capsnet.cli import main
from capsnet.errors import UserError
from capsnet.runs import RunConfig


def test_of_two_lengths_the_one_that_counts_is_named(capsys):
    assert RunConfig.from_options(epochs=1, steps=1000).optimizer.steps == 1000
    assert "the length of the run is 1000 steps: epochs, 1, has no effect" in capsys.readouterr().err
    # a recipe's own length is replaced
    assert RunConfig.from_options("quickstart", steps=1000).optimizer.steps == 1000
    assert RunConfig.from_options("sabour2017-cifar10", epochs=1).optimizer.steps is None
    assert capsys.readouterr().err == ""


def test_a_decay_chooses_the_exponential_schedule():
    optimizer = RunConfig.from_options("quickstart", lr_decay=0.9, lr_decay_steps=None).optimizer
    assert optimizer.schedule == "exponential"
    assert optimizer.learning_rate(20, 10) == pytest.approx(0.81 * optimizer.lr)
    assert RunConfig.from_options("quickstart", lr=0.01).optimizer.schedule == "one-cycle"


@pytest.mark.parametrize(
    ("recipe", "options", "reason"),
    [
        ("quickstart", {"schedule": "one-cycle", "lr_decay": 0.9}, "with the schedule one-cycle"),
        ("quickstart", {"schedule": "one-cycle", "lr_floor": 1e-5}, "with the schedule one-cycle"),
        ("quickstart", {"schedule": "step", "lr_milestones": (1,), "lr_decay_steps": 9}, "with the schedule step"),
        ("quickstart", {"momentum": 0.5}, "with adam"),
        ("quickstart", {"rotation_chance": 0.5}, "without rotation"),
        ("quickstart", {"shift": 0, "shift_interpolation": "bilinear"}, "with shift 0"),
        ("quickstart", {"distortions": "normal"}, "without rotation, squeeze and place"),
        ("quickstart", {"color_first": True}, "without brightness and contrast"),
        ("quickstart", {"validation": 0, "validation_shift": 2}, "without validation images"),
        ("quickstart", {"image_size": 48}, "on digits: it is for folders, archives and tables"),
        ("quickstart", {"data": "a.npz", "skip_unreadable": True}, "on a.npz: it is for folders"),
        ("own-images", {"brightness": 40.0}, "with standardize, which subtracts the mean of each image"),
    ],
)
def test_an_option_without_effect_is_refused(recipe, options, reason):
    name = list(options)[-1]
    with pytest.raises(UserError, match=f"{name} must be left out, got .*: it has no effect {reason}"):
        RunConfig.from_options(recipe, **options)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("quickstart", {"schedule": "exponential", "lr_decay": 0.9}),
        ("quickstart", {"brightness": 40.0, "color_first": True}),
        # the decoder draws the brighter image
        ("quickstart", {"brightness": 40.0, "standardize": True}),
        ("own-images", {"contrast": 0.2}),
        ("sabour2017-cifar10", {"batch_size": 64}),
    ],
)
def test_an_option_with_an_effect_is_accepted(recipe, options):
    options = {"recon_weight": 0.001, **options} if "brightness" in options else options
    RunConfig.from_options(recipe, **options)


def test_flags_without_effect_are_refused(capsys):
    assert main(["train", "--schedule", "one-cycle", "--lr-decay", "0.9"]) == 2
    assert "--lr-decay must be left out, got 0.9: it has no effect with" in capsys.readouterr().err
