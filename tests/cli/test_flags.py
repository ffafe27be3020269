"""Messages of the library in the words of the command line."""

import pytest

from capsnet.cli.data import Data
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
