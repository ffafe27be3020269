"""Messages of the library in the words of the command line."""

import pytest

from capsnet.cli.data import Data
from capsnet.cli.figures import Figures
from capsnet.cli.flags import in_flags
from capsnet.cli.train import Train


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("lr must be above 0, got -1", "--lr must be above 0, got -1"),
        ("stop_at needs images held out: `validation` is 0", "--stop-at needs images held out: --validation is 0"),
        ("x exists; give another `out`, or resume=x", "x exists; give another --out, or --resume x"),
        ("leave out such files with skip_unreadable=True", "leave out such files with --skip-unreadable"),
        ("routing_options must be left out", "--routing-option must be left out"),
        ("give `data_dir` or data_dir", "give --data-dir or --data-dir"),
    ],
)
def test_arguments_are_called_by_their_flags(message, said):
    assert in_flags(message, Train) == said


@pytest.mark.parametrize(
    "message",
    [
        "photos/image_size/a.png cannot be read",
        "config.json: lr must be above 0",
        "images must be b x (1, 28, 28), got (1, 20, 20)",
        "no such seed data set",
        "recipe must be known",
    ],
)
def test_what_is_no_argument_stays(message):
    assert in_flags(message, Train) == message


def test_an_option_that_the_verb_does_not_have_stays():
    for message in ("recon_weight must be above 0", "routing_options must be left out"):
        assert in_flags(message, Data) == message


@pytest.mark.parametrize(
    "message",
    [
        "sweeps/a/runs/lr=0.001-iterations=3-seed0: no such run folder",
        "lr=0.001-iterations=3-seed0: no such run folder",
        "image_size: no such data set, file or folder",
    ],
)
def test_names_that_were_typed_stay(message):
    assert in_flags(message, Train, ["--resume", message.partition(":")[0]]) == message


def test_a_path_that_was_not_typed_stays():
    message = "'/tmp/runs/lr=0.001-seed=0' is not a run folder"
    assert in_flags(message, Train) == message


def test_an_option_of_another_name_in_python_is_called_by_its_flag():
    message = "classes must be left out: RUN has no figures with one file per class"
    assert in_flags(message, Figures) == message.replace("classes", "--class")
