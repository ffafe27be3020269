from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import tyro

from capsnet.cli.parse import parse
from capsnet.errors import UserError


@dataclass(frozen=True)
class Photos:
    """Read photos.

    Examples: none."""

    flip: bool = False
    """Mirror them."""
    standardize: bool = True
    """Give them unit variance."""
    side: int = 32
    """Of an image."""


@pytest.mark.parametrize(
    ("words", "flip", "standardize"),
    [
        ("", False, True),
        ("--flip", True, True),
        ("--no-flip", False, True),
        ("--standardize", False, True),
        ("--no-standardize", False, False),
        ("--flip --no-flip", False, True),
        ("--no-flip --flip", True, True),
        ("--no-standardize --side 3 --flip", True, False),
    ],
)
def test_a_switch_may_be_given_in_both_forms_whatever_its_default(words, flip, standardize):
    read = parse(Photos, words.split(), Photos())
    assert (read.flip, read.standardize) == (flip, standardize)


@dataclass(frozen=True)
class Scan:
    """Read a scan."""

    file: tyro.conf.Positional[Path]
    """The file."""
    unit: Literal["mm", "px"] = "mm"
    """Of lengths."""
    side: int = 32
    """Of an image."""


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "file"),
        ("a.png --side x", "--side"),
        ("a.png --unit cm", "'cm'"),
        ("a.png b.png", "b.png"),
        ("a.png --sid 3", "unknown option --sid; did you mean --side?"),
    ],
)
def test_error_of_tyro_becomes_one_line_that_names_the_word(words, message, boxes, monkeypatch):
    # the form of tyro's message, which has no public interface
    monkeypatch.setitem(tyro._experimental_options, "utf8_boxes", boxes)
    with pytest.raises(UserError) as fault:
        parse(Scan, words.split())
    assert message in str(fault.value)
    assert str(fault.value).endswith(" (capsnet scan --help)")
    assert not set("\n│╭─") & set(str(fault.value))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--standarize", "unknown option --standarize; did you mean --standardize?"),
        ("--flp", "unknown option --flp; did you mean --flip?"),
        ("--flip true", "--flip takes no value, got 'true': give --flip or --no-flip"),
        ("--flip=False", "--flip takes no value, got 'False'"),
        ("--sid 3", "unknown option --sid; did you mean --side?"),
        ("--side x", "--side"),
    ],
)
def test_a_word_that_is_no_option_is_named_with_the_nearest(words, message):
    with pytest.raises(UserError) as fault:
        parse(Photos, words.split(), Photos())
    assert message in str(fault.value)
