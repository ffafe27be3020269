"""A sweep trains a grid, ranks it on validation, and continues in its folder."""

import json
import re
import shutil

import pytest

from capsnet.cli import main
from capsnet.cli.sections import given_options
from capsnet.cli.sweep import _read_grid
from capsnet.cli.sweep import main as sweep_command
from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.runs import Run
from capsnet.studies import sweep
from capsnet.studies.grid import make_study
from capsnet.studies.runner import SWEEP_FILE
from capsnet.studies.sweep import _check_folder
from capsnet.studies.sweep_table import sweep_to_markdown

TINY = {"model": "capsnet-tiny", "steps": 2, "limit": 32, "test_limit": 40, "batch_size": 16, "device": "cpu"}
GRID = {"lr": [1e-3, 3e-3], "iterations": [1, 2]}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep's folder and table."""
    folder = tmp_path_factory.mktemp("sweeps") / "done"
    return folder, sweep("quickstart", GRID, seeds=2, out=folder, **TINY)


@pytest.fixture
def copied(swept, tmp_path):
    return shutil.copytree(swept[0], tmp_path / "sweep")


@pytest.fixture
def trained(monkeypatch):
    """Names of the folders that are trained; nothing is."""
    names = []
    monkeypatch.setattr("capsnet.studies.runner.run_task", lambda folder, *rest: names.append(folder.name))
    return names


def test_runs_have_the_values_of_their_row(swept):
    config = Run.open(swept[0] / "runs" / "iterations=2-lr=0.003-seed1").config
    assert (config.model.iterations, config.optimizer.lr, config.run.seed) == (2, 0.003, 1)
    assert (config.run.recipe, config.optimizer.steps) == ("quickstart", 2)


def test_validation_ranks_the_rows_whatever_the_test_errors(swept):
    folder, table = swept
    means = {}
    for row in table["rows"]:
        results = [Run.open(folder / "runs" / f"{row['name']}-seed{seed}").evaluation() for seed in (0, 1)]
        means[row["name"]] = sum(100 * (1 - result["validation"]["accuracy"]) for result in results) / 2
        assert row["validation_mean"] == pytest.approx(means[row["name"]], abs=1e-5)
    assert list(means.values()) == sorted(means.values())
    best = min(means.values())
    assert table["sweep"]["chosen"] == [name for name, mean in means.items() if mean == pytest.approx(best)]


def test_comparisons_are_of_validation_errors_and_corrected_for_all_pairs(swept):
    table = swept[1]
    first, *others = table["rows"]
    assert [(entry["row"], entry["other"]) for entry in table["comparisons"]] == [
        (first["name"], row["name"]) for row in others
    ]
    differences = [first["validation_mean"] - row["validation_mean"] for row in others]
    assert [entry["difference"] for entry in table["comparisons"]] == pytest.approx(differences, abs=1e-5)
    assert "corrected for all 6 pairs" in sweep_to_markdown(table)


def test_page_says_that_the_test_split_chose_nothing(swept):
    folder, table = swept
    text = (folder / "table.md").read_text()
    assert text == sweep_to_markdown(table)
    assert "The test split chose nothing" in text
    assert "paper" not in text
    assert (
        "    capsnet sweep quickstart --grid lr=0.001,0.003 iterations=1,2 --seeds 2 --model capsnet-tiny --steps 2 "
        "--limit 32 --test-limit 40 --batch-size 16 --device cpu\n"
    ) in text


def test_finished_sweep_trains_nothing_and_changes_no_file(copied, swept, trained):
    before = {path: path.stat().st_mtime_ns for path in (copied / "runs").rglob("*") if path.is_file()}
    assert sweep("quickstart", GRID, seeds=2, out=copied, **TINY) == swept[1]
    assert trained == []
    assert before == {path: path.stat().st_mtime_ns for path in (copied / "runs").rglob("*") if path.is_file()}


def test_larger_grid_and_more_seeds_train_what_is_missing(copied, trained):
    grid = {"iterations": [1, 2, 3], "lr": [3e-3, 1e-3]}
    table = sweep("quickstart", grid, seeds=3, out=copied, **TINY)
    assert len(trained) == 6 * 3 - 4 * 2
    assert set(trained) >= {"iterations=3-lr=0.001-seed0", "iterations=1-lr=0.001-seed2"}
    assert table["sweep"]["chosen"] == []
    assert "Runs are missing" in (copied / "table.md").read_text()


@pytest.mark.parametrize(
    ("recipe", "grid", "options", "words"),
    [
        ("quickstart", {"lr": [1e-3], "iterations": [1, 2]}, {}, r"holds the sweep of quickstart .* lacks lr 0.003"),
        ("quickstart", {"lr": [1e-3, 3e-3]}, {}, "this one varies lr; give another `out`"),
        ("sabour2017-mnist", GRID, {"validation": 0.1}, "this one is of sabour2017-mnist"),
        ("quickstart", GRID | {"lr": [*GRID["lr"], 0.1]}, {"shift": 1}, r"another shift \(2, this command has 1\)"),
    ],
)
def test_folder_of_another_sweep_is_refused(copied, trained, recipe, grid, options, words):
    record = (copied / "sweep.json").read_bytes()
    with pytest.raises(UserError, match=words):
        sweep(recipe, grid, seeds=2, out=copied, **{**TINY, **options})
    assert trained == []
    assert (copied / "sweep.json").read_bytes() == record


def test_folder_of_a_study_is_refused(tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(UserError, match=r"holds other runs, it has no sweep\.json"):
        sweep("quickstart", GRID, out=tmp_path, **TINY)


@pytest.mark.parametrize(
    ("grid", "options", "words"),
    [
        ({}, {}, "at least one option"),
        ({"lr": []}, {}, "at least one value for lr"),
        ({"lr": [1, 1.0]}, {}, "each value of lr once"),
        ({"lrr": [1]}, {}, "did you mean 'lr'"),
        ({"lr": [1e-3]}, {"lr": 1e-3}, "lr is given twice"),
        ({"lr": [1e-3]}, {"validation": 0}, "validation must be above 0 for a sweep"),
        ({"lr": [1e-3]}, {"seed": 1}, "give `seeds`"),
        ({"seed": [1, 2]}, {}, "give `seeds`"),
        ({"data": ["digits", "mnist"]}, {}, "the same images"),
        ({"device": ["cpu"]}, {}, "does not change what is trained"),
        ({"iterations": [None, 3]}, {}, "iterations = None and iterations = 3 are the same run"),
        ({"lr": [1e-3, -1.0]}, {}, r"lr must be above 0, got -1\.0 \(row lr = -1\)"),
    ],
)
def test_grid_that_cannot_be_swept_is_refused_before_a_folder_is_made(grid, options, words, tmp_path):
    with pytest.raises(UserError, match=words):
        sweep("quickstart", grid, out=tmp_path / "sweep", **options)
    assert not (tmp_path / "sweep").exists()


def test_row_name_that_no_folder_can_have_is_replaced_by_one_with_a_digest():
    grid = {"model_options": [{"primary_scale": 0.5}, {"primary_scale": 0.5, "routing_bias": True}]}
    names = [row.name for row in make_study("quickstart", grid, {}, 1).rows]
    assert names[0] == "model_options=primary_scale=0.5"
    assert re.fullmatch(r"model_options=primary_scale=0.5_routing_bias=True-[0-9a-f]{8}", names[1])


def test_words_of_the_grid_become_values_of_their_option():
    grid = _read_grid(["lr=1e-3,3e-4", "batch-size=16,32", "flip=true,False", "limit=None,100", "routing=None,em"])
    assert grid == {
        "lr": [1e-3, 3e-4],
        "batch_size": [16, 32],
        "flip": [True, False],
        "limit": [None, 100],
        "routing": [None, "em"],
    }
    assert [type(value) for value in grid["batch_size"] + grid["flip"]] == [int, int, bool, bool]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lr", "must be OPTION=VALUE,VALUE"),
        ("batch-sise=16", "did you mean 'batch-size'"),
        ("iterations=1.5", "iterations must be None or a whole number, got '1.5'"),
        ("schedule=linear", "schedule must be exponential, one-cycle, step, got 'linear'"),
        ("lr-milestones=1", "takes several values"),
    ],
)
def test_word_of_the_grid_that_is_no_value_is_refused(word, message):
    with pytest.raises(UserError, match=message):
        _read_grid([word])


def test_options_on_the_command_line_are_those_of_all_runs():
    words = ["quickstart", "--batch-size", "16", "--lr=0.1", "--no-flip", "--option", "leaky=true", "--grid", "shift=1"]
    assert given_options(words) == ["flip", "model_options", "batch_size", "lr"]


def test_command_prints_the_table_and_draws_it(copied, swept, capsys):
    line = ["sweep", "quickstart", "--grid", "lr=1e-3,3e-3", "iterations=1,2", "--seeds", "2", "--json", "--out"]
    flags = [word for name, value in TINY.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert main([*line, str(copied), *flags]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == swept[1]["rows"]
    assert (copied / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("grid", "options", "words"),
    [
        ({"momentum": [0.5, 0.9]}, {}, r"momentum must be left out, got 0.5: it has no effect with adam"),
        ({"lr": [0.1, 0.2]}, {"momentum": 0.5}, "momentum must be left out"),
        ({"shift": [0, 1], "shift_fill": ["zeros", "edge"]}, {}, r"with shift 0 \(row shift = 0, "),
    ],
)
def test_option_without_an_effect_is_refused(grid, options, words, tmp_path):
    with pytest.raises(UserError, match=words):
        sweep("quickstart", grid, seeds=1, out=tmp_path / "sweep", **options)
    assert not (tmp_path / "sweep").exists()


def test_file_in_place_of_the_folder_is_named(tmp_path, trained):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"notes.txt is a file, not a folder; give another `out`"):
        sweep("quickstart", GRID, seeds=1, out=tmp_path / "notes.txt")


def test_option_with_an_effect_in_some_rows_is_accepted(tmp_path, trained):
    with pytest.raises(UserError, match="no run was finished"):
        sweep("quickstart", {"optimizer": ["adam", "sgd"]}, seeds=1, out=tmp_path / "sweep", momentum=0.5)
    assert len(trained) == 2


def test_a_decay_in_the_grid_has_the_schedule_that_it_has_in_a_run(tmp_path, monkeypatch):
    configs = []
    monkeypatch.setattr("capsnet.studies.runner.run_task", lambda folder, config, *_: configs.append(config))
    with pytest.raises(UserError, match="no run was finished"):
        sweep("quickstart", {"lr_decay": [0.9, 0.99]}, seeds=1, out=tmp_path / "sweep")
    assert {config.optimizer.schedule for config in configs} == {"exponential"}


@pytest.mark.parametrize(
    ("line", "recipe"),
    [
        ("quickstart --data PHOTOS", "quickstart"),
        ("--data PHOTOS", "own-images"),
        ("--data PHOTOS --out quickstart", "own-images"),
        ("--lr-milestones 2 --schedule step", "quickstart"),
        ("--lr-milestones 2 --schedule step sabour2017-mnist", "sabour2017-mnist"),
    ],
)
def test_recipe_is_the_one_that_was_named(line, recipe, photos, monkeypatch):
    named = []
    monkeypatch.setattr("capsnet.cli.sweep.sweep_recipe", lambda recipe, *_, **__: named.append(recipe) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sweep_command([*line.replace("PHOTOS", str(photos)).split(), "--grid", "lr=0.1"])
    assert named == [recipe]


def test_recipe_after_the_flags_keeps_its_model_options(monkeypatch):
    given = {}
    monkeypatch.setattr(
        "capsnet.cli.sweep.sweep_recipe", lambda recipe, grid, options, **_: given.update(options) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        sweep_command(["--seeds", "1", "sabour2017-cifar10", "--option", "routing_bias=true", "--grid", "lr=0.1"])
    ours, theirs = given["model_options"], RECIPES.get("sabour2017-cifar10").config.model.options
    assert ours == {**theirs, "routing_bias": True}
    assert len(theirs) > 1


def test_a_sweep_that_trained_nothing_leaves_the_folder_free(tmp_path):
    (tmp_path / SWEEP_FILE).write_text('{"format_version": 1, "recipe": "quickstart", "grid": {"lr": [0.1]}}')
    _check_folder(tmp_path, "sabour2017-mnist", {"lr": [0.2]})
    (tmp_path / "runs").mkdir()
    with pytest.raises(UserError, match="holds the sweep of quickstart"):
        _check_folder(tmp_path, "sabour2017-mnist", {"lr": [0.2]})
