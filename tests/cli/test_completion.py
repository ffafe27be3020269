"""Completion in real shells: bash is everywhere; zsh and fish are tried where they are installed."""

import re
import shutil
import subprocess

import pytest

from capsnet.cli import VERBS, main
from capsnet.cli.flags import list_fields
from capsnet.cli.shells import SCRIPTS
from capsnet.cli.words import _SLOTS, Slot, find_options, read_verbs


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder, verbs = tmp_path_factory.mktemp("scripts"), read_verbs()
    for shell, write in SCRIPTS.items():
        (folder / shell).write_text(write(verbs))
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a run, and a folder and a file whose names hold blanks."""
    (tmp_path / "runs" / "quick").mkdir(parents=True)
    (tmp_path / "runs" / "quick" / "config.json").touch()
    (tmp_path / "runs" / "other").mkdir()
    (tmp_path / "my photos").mkdir()
    (tmp_path / "a seven.png").touch()
    monkeypatch.chdir(tmp_path)


def run(*line):
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()


def in_bash(script, *words):
    """What bash would offer for the last of the words."""
    code = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _capsnet; printf "%s\\n" "${COMPREPLY[@]}"'
    return [line for line in run("bash", "-c", code, "bash", str(script), "capsnet", *words) if line]


BASH = {
    ("tr",): ["train"],
    ("--ver",): ["--version"],
    ("train", "--data"): ["--data", "--data-dir"],
    ("train", "--routing", "dyn"): ["dynamic"],
    ("train", "--routing", "=", "dyn"): ["dynamic"],
    ("train", "--routing", "="): None,
    ("train", "--precision", ""): ["auto", "fp32", "tf32", "bf16"],
    ("train", "--data", "fash"): ["fashion-mnist"],
    ("train", "--data", "my"): ["my photos"],
    ("train", "--data", "a"): ["affnist", "affnist-like", "a seven.png"],
    ("train", "--start-from", "runs/q"): ["runs/quick", "runs/quick"],
    ("show", "a", "--against", "runs/q"): ["runs/quick", "runs/quick"],
    ("demo", "runs/q"): ["runs/quick", "runs/quick"],
    ("train", "--seed", ""): [],
    ("train", "--tensorboard", "speed"): ["speedrun-mnist"],
    ("train", "sabour2017-mnist-a"): ["sabour2017-mnist-authors"],
    ("train", "--resume", "runs/q"): ["runs/quick", "runs/quick"],
    ("report", ""): ["runs/quick", "a seven.png", "my photos", "runs"],
    ("predict", "a"): ["a seven.png"],
    ("predict", "runs/quick", "--figure", "a"): ["a seven.png"],
    ("analyse", "--only", "routing", "ro"): ["robustness", "routing"],
    ("analyse", "--only", "routing", "--l"): ["--limit"],
    ("list", "st"): ["studies"],
    ("reproduce", "paper"): ["paper-or-code"],
    ("show", "capsnet-t"): ["capsnet-tiny"],
    ("completion", ""): ["bash", "zsh", "fish"],
    ("nosuch", ""): [],
}


@pytest.mark.parametrize("words", BASH)
def test_bash_offers(words, scripts, place):
    offered, expected = in_bash(scripts / "bash", *words), BASH[words]
    if expected is None:
        assert {"dynamic", "em"} <= set(offered)
    else:
        assert sorted(offered) == sorted(expected)


CHOICES = [
    (verb.name, flag.name, flag.value)
    for verb in read_verbs()
    for flag in verb.flags
    if flag.value is not None and flag.value.names and not flag.value.paths
]


def test_bash_offers_the_values_of_each_option_of_each_verb(scripts, place):
    assert len({verb for verb, _, _ in CHOICES}) > 5
    for verb, flag, value in CHOICES:
        assert set(value.names) <= set(in_bash(scripts / "bash", verb, flag, "")), (verb, flag)


def test_bash_registers_the_function_and_says_nothing(scripts):
    line = run("bash", "-c", f"source '{scripts / 'bash'}'; complete -p capsnet")
    assert line == ["complete -F _capsnet capsnet"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_offers_with_descriptions(scripts, place):
    lines = (
        "capsnet doc",
        "capsnet train --routing dyn",
        "capsnet list dat",
        "capsnet report r",
        "capsnet train --resu",
    )
    asked = "; ".join(f"complete -C '{line}'" for line in lines)
    offered = run("fish", "--no-config", "-c", f"source '{scripts / 'fish'}'; {asked}")
    assert f"doctor\t{VERBS['doctor']}" in offered
    assert "dynamic\tRouting (capsnet list routings)" in offered
    assert "data" in offered
    assert "runs/quick" in offered
    assert "--resume\tGo on with the run in this folder" in offered


ZSH = """
compdef() { : }
source $1; shift
_describe() { print -l -- ${(P)4} }
compadd() { shift; print -l -- "$@" }
compset() { : }
_files() { print -- files "$@" }
words=("$@") CURRENT=$#words
_capsnet
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_offers_with_descriptions(scripts, place):
    def offers(*words):
        return run("zsh", "-f", "-c", ZSH + "return 0", "zsh", str(scripts / "zsh"), "capsnet", *words)

    assert f"doctor:{VERBS['doctor']}" in offers("doc")
    assert "--resume:Go on with the run in this folder" in offers("train", "--re")
    assert "dynamic" in offers("train", "--routing", "")
    assert "dynamic" in offers("train", "--routing=dy")
    assert {"mnist", "files"} <= set(offers("train", "--data", ""))
    assert {"runs/quick", "files"} <= set(offers("report", ""))
    assert "robustness" in offers("analyse", "--only", "routing", "")


@pytest.mark.parametrize("verb", read_verbs(), ids=lambda verb: verb.name)
def test_options_are_those_of_the_help(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb.name, "--help"])
    # an option begins its line, in a box or not; examples, which may be broken, hold others
    text = capsys.readouterr().out.replace("\\\n", "")
    listed = re.findall(r"^[\s│|]*(?:-h, )?(--[a-z][a-z0-9-]*)", text, re.MULTILINE)
    assert sorted(flag.name for flag in verb.flags) == sorted(listed)
    assert all(flag.summary for flag in verb.flags)


def test_places_of_names_are_fields_of_verbs():
    for place in _SLOTS:
        verb, field = place.split(".")
        assert field in {item.option for item in list_fields(find_options(verb))}
        assert _SLOTS[place]() != Slot()
