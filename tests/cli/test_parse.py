import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import tyro

from capsnet.cli.bench import Bench
from capsnet.cli.doctor import Doctor
from capsnet.cli.evaluate import Evaluate
from capsnet.cli.figures import Figures
from capsnet.cli.flags import list_fields
from capsnet.cli.import_keras import ImportKeras
from capsnet.cli.keras_options import KERAS_OPTIONS
from capsnet.cli.parse import key_and_value, parse
from capsnet.cli.predict import Predict
from capsnet.cli.sections import flags_of
from capsnet.cli.train import Train
from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.runs.sections import SECTIONS


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


@pytest.mark.parametrize("color", ["", "1"])
@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "file"),
        ("a.png --side x", "--side must be a whole number, got 'x'"),
        ("a.png --unit cm", "'cm'"),
        ("a.png b.png", "b.png"),
        ("a.png --sid 3", "unknown option --sid; did you mean --side?"),
    ],
)
def test_error_of_tyro_becomes_one_line_that_names_the_word(words, message, boxes, color, monkeypatch):
    # the form of tyro's message, which has no public interface
    monkeypatch.setitem(tyro._experimental_options, "utf8_boxes", boxes)
    # as on a terminal
    monkeypatch.setenv("FORCE_COLOR", color)
    with pytest.raises(UserError) as fault:
        parse(Scan, words.split())
    assert message in str(fault.value)
    assert str(fault.value).endswith(" (capsnet scan --help)")
    assert not set("\n│╭─\x1b") & set(str(fault.value))


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--num_routing 1", "--num_routing is an option of CapsNet-Keras; use --iterations 1"),
        ("--routings=1", "--routings is an option of CapsNet-Keras; use --iterations 1"),
        ("-r 1", "-r is an option of CapsNet-Keras; use --iterations 1"),
        ("--is_training 0 --weights x.h5", "use capsnet evaluate RUN"),
        ("-t -w x.h5", "-t is an option of CapsNet-Keras; use capsnet evaluate RUN"),
        ("-t -r 3 --digit 5 -w x.h5", "manipulate --digit 5 to draw; capsnet import-keras FILE RUN converts"),
        ("-w x.h5", "capsnet train --resume RUN"),
        ("--gpus 2", "use torchrun --nproc-per-node 2 -m capsnet train"),
        ("--lam_recon 0.392", "use --recon-weight X, where X is lam_recon divided by the number of pixels"),
        ("--shift_fraction 0.1", "use --shift N, in whole pixels"),
        ("--save_dir result", "use --out FOLDER"),
        ("--digit 5", "use capsnet figures RUN"),
        ("--debug", "use --tensorboard"),
    ],
)
def test_an_option_of_capsnet_keras_is_answered_with_what_replaces_it(words, message):
    with pytest.raises(UserError) as fault:
        parse(Train, words.split(), Train())
    assert message in str(fault.value)


def test_every_replacement_of_a_capsnet_keras_option_is_an_option_of_its_command():
    words = {f"--{field.option.replace('_', '-')}" for field in list_fields(Train)}
    named = {text.split()[0] for text in KERAS_OPTIONS.values() if text.startswith("--")}
    assert len(named) == 5
    assert named <= words


def test_zero_on_the_command_line_switches_off():
    config = parse(Train, ["--lr-decay-steps", "0", "--crop", "0", "--shift", "0"], Train()).config()
    assert (config.optimizer.lr_decay_steps, config.augmentation.crop) == (None, None)
    assert config.augmentation.shift == 0


@pytest.mark.parametrize("flag", ["--epochs", "--steps", "--limit", "--test-limit"])
def test_zero_of_a_count_is_refused(flag):
    with pytest.raises(UserError, match="must be at least 1 or None, got 0"):
        parse(Train, [flag, "0"], Train())


def test_options_of_a_routing_are_keys_and_values():
    config = parse(Train, ["--routing-option", "bias=true", "iterations=2"], Train()).config()
    assert config.model.routing_options == {"bias": True, "iterations": 2}


@pytest.mark.parametrize("name", RECIPES.names())
def test_flags_start_from_every_recipe(name):
    config = RECIPES.get(name).config
    assert parse(Train, [], flags_of(Train, config)).config() == config


def test_help_groups_flags_by_section(capsys):
    with pytest.raises(SystemExit):
        parse(Train, ["--help"], Train())
    assert re.findall(r"^\W*(\w+) options\W*$", capsys.readouterr().out, re.MULTILINE) == list(SECTIONS)


def test_value_of_an_option_may_be_a_list():
    assert key_and_value("--option", "stages=[[4,1],[6,2]]") == ("stages", ((4, 1), (6, 2)))
    with pytest.raises(UserError, match="must be a number, true, false, a word or a list"):
        key_and_value("--option", 'stages={"a": 1}')


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("--option a=1 --option b=2", ("a=1", "b=2")),
        ("--option a=1 --lr 0.1 --option=b=2 c=3", ("a=1", "b=2", "c=3")),
        ("--option=a=1 b=2", ("a=1", "b=2")),
    ],
)
def test_a_repeated_list_adds_to_the_earlier_one(words, options):
    assert parse(Train, words.split(), Train()).model.option == options


def test_words_after_a_repeated_list_stay_where_they_are():
    read = parse(Figures, ["RUN", "--class", "a", "--class=b", "--overwrite", "--", "curves"])
    assert (read.classes, read.names, read.overwrite) == (("a", "b"), ("curves",), True)


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_a_truth_value_is_read_in_any_case(text):
    assert key_and_value("--option", f"leaky={text}") == ("leaky", True)
    assert key_and_value("--option", "leaky=False") == ("leaky", False)


@pytest.mark.parametrize(
    ("verb", "words", "message"),
    [
        (Predict, "", "MODEL is missing: a run folder, a weights file, a name from capsnet list pretrained, or an"),
        (ImportKeras, "", "WEIGHTS and OUT are missing (capsnet import-keras --help)"),
        (Predict, "m a.png --json b.png", "unexpected argument 'b.png'; give the arguments without a flag side by"),
        (Predict, "m --pixel-range 0 4095 a.tif", "--pixel-range must be 2 numbers, got 0 4095 a.tif; give other"),
        (Predict, "m a.tif --pixel-range 0", "--pixel-range must be 2 numbers, got 0 (capsnet predict --help)"),
        (Doctor, "-r 3", "unknown option -r"),
        (Predict, "m a.png --save_dir x", "--save_dir is an option of CapsNet-Keras; use --out"),
        (Evaluate, "m --save_dir x", "unknown option --save_dir"),
        (Evaluate, "-w x.h5", "-w is an option of CapsNet-Keras; use capsnet evaluate RUN"),
        (Bench, "--gpus 2", "unknown option --gpus"),
    ],
)
def test_a_message_fits_the_verb(verb, words, message):
    with pytest.raises(UserError) as fault:
        parse(verb, words.split())
    assert str(fault.value).startswith(message)
