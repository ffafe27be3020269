"""Which recipe, model and run `capsnet train` takes from its line; nothing is trained."""

import pytest
from tests.data.test_mask_folder import write as write_mask

from capsnet.cli import main
from capsnet.cli import train as verb
from capsnet.cli.scan import scan
from capsnet.cli.train import Train
from capsnet.recipes import RECIPES
from capsnet.runs import Run, RunConfig


@pytest.fixture
def trained(monkeypatch):
    """The configurations and options that would be trained."""
    found = []

    def stop(config, *rest, **options):
        found.append((config, *rest))
        raise KeyboardInterrupt

    monkeypatch.setattr(verb, "train", stop)
    monkeypatch.setattr(verb, "train_other", stop)
    return found


@pytest.fixture
def scans(tmp_path):
    (tmp_path / "scans").mkdir()
    for name in "abcdefgh":
        write_mask(tmp_path / "scans", name, [[0, 1], [1, 0]])
    return tmp_path / "scans"


@pytest.mark.parametrize(
    ("line", "positions"),
    [
        ("quickstart --epochs 3", [0]),
        ("--epochs 3 quickstart", [2]),
        ("--epochs=3 quickstart", [1]),
        ("--flip quickstart", [1]),
        ("--no-flip quickstart", [1]),
        ("--pixel-range 0 1 quickstart", [3]),
        ("--option a=1 quickstart", []),
        ("--option=a=1 b=2 --lr 1", []),
        ("--out quickstart", []),
    ],
)
def test_arguments_without_a_flag_are_told_from_values(line, positions):
    assert scan(line.split(), Train).positions == positions


@pytest.mark.parametrize(
    ("line", "recipe"),
    [
        ("", "quickstart"),
        ("--data PHOTOS", "own-images"),
        ("quickstart --data PHOTOS", "quickstart"),
        ("--data PHOTOS quickstart", "quickstart"),
        ("--data PHOTOS --out quickstart", "own-images"),
        ("--epochs 3 sabour2017-mnist", "sabour2017-mnist"),
    ],
)
def test_recipe_is_the_one_that_was_named(line, recipe, photos, trained):
    assert main(["train", *line.replace("PHOTOS", str(photos)).split()]) == 130
    assert trained[0][0].run.recipe == recipe


def test_options_before_the_recipe_are_those_of_the_recipe(trained):
    name = next(name for name in RECIPES if RECIPES.get(name).config.optimizer.schedule == "step")
    assert main(["train", "--lr-milestones", "2", "3", "--epochs", "4", name]) == 130
    assert trained[-1][0].optimizer.lr_milestones == (2, 3)


def test_options_of_a_resumed_run_are_those_of_the_run(trained, tmp_path):
    run = RunConfig.from_options("quickstart", schedule="step", lr_milestones=(1,), epochs=3)
    (tmp_path / "config.json").write_text(run.to_json())
    assert Run.open(tmp_path).config == run
    assert main(["train", "--lr-milestones", "1", "--resume", str(tmp_path)]) == 130


@pytest.mark.parametrize("line", ["segcaps-small --epochs 3 --data SCANS", "--epochs 3 segcaps-small --data SCANS"])
def test_model_may_stand_anywhere(line, scans, trained):
    assert main(["train", *line.replace("SCANS", str(scans)).split()]) == 130
    assert trained[0][0] == "own-masks"
    assert trained[0][1]["model"] == "segcaps-small"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("quickstart --data SCANS", "the recipe quickstart is for images with one class; leave it out"),
        ("segcaps-small --model unet-small --data SCANS", "two models are given: segcaps-small and --model unet-small"),
    ],
)
def test_what_would_be_ignored_is_refused(line, message, scans, trained, capsys):
    assert main(["train", *line.replace("SCANS", str(scans)).split()]) == 2
    assert message in capsys.readouterr().err
