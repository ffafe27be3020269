"""Studies are data."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.runs.built import as_built
from capsnet.studies import STUDIES, Comparison, Together, plan
from capsnet.studies.study import Task, configure


@pytest.mark.parametrize("name", STUDIES.names())
@pytest.mark.parametrize("budget", ["quick", "full"])
def test_every_run_of_every_study_has_a_configuration_and_a_folder_of_its_own(name, budget, tmp_path):
    tasks = plan(STUDIES.get(name), budget, 2, tmp_path)
    assert len({task.folder for task in tasks}) == len(tasks) == 2 * len(STUDIES.get(name).rows)
    assert len({repr(task.config) for task in tasks}) == len(tasks)
    assert all(task.config.run.recipe == task.row.recipe for task in tasks)


PAPERS = ["paper-or-code", "routing-iterations", "sabour2017-table1"]


@pytest.mark.parametrize("name", PAPERS)
def test_full_budget_is_the_authors_schedule(name):
    for task in plan(STUDIES.get(name), "full", 1, Path("study")):
        config = task.config
        assert (config.optimizer.batch_size, config.optimizer.epochs) == (128, 640)
        assert (config.data.limit, config.optimizer.schedule) == (None, "exponential")
        assert config.optimizer.lr_decay == (1.0 if task.row.name == "constant-rate" else 0.96)


@pytest.mark.parametrize("name", PAPERS)
def test_quick_budget_meets_each_image_once(name):
    for task in plan(STUDIES.get(name), "quick", 1, Path("study")):
        config = task.config
        assert config.optimizer.epochs == 1
        assert config.data.limit == 8000
        assert config.optimizer.learning_rate(249, 250) < (2e-5 if task.row.name != "constant-rate" else 1)


def test_speed_run_is_its_recipe_with_five_seeds():
    study = STUDIES.get("speedrun-mnist")
    assert study.budget("full").seeds == 5
    assert configure(study, study.rows[0], "full", 0) == as_built(RECIPES.get("speedrun-mnist").config)


def test_paper_or_code_changes_one_thing_at_a_time_and_ends_at_the_authors_recipe():
    study = STUDIES.get("paper-or-code")
    base = configure(study, study.rows[0], "full", 0)
    assert base == as_built(RECIPES.get("sabour2017-mnist").config)
    for row in study.rows[1:-1]:
        changed = configure(study, row, "full", 0)
        differing = [name for name, value in vars(changed).items() if getattr(base, name) != value]
        assert len(differing) == 1, row.name
        assert len(changed.model.options) <= 1
    assert configure(study, study.rows[-1], "full", 0) == as_built(RECIPES.get("sabour2017-mnist-authors").config)


def test_users_changes_go_over_everything_else(study):
    found = STUDIES.get(study)
    assert configure(found, found.rows[0], "quick", 5, {"limit": 7}).data.limit == 7
    assert configure(found, found.rows[0], "quick", 5).run.seed == 5


def test_users_options_of_the_model_are_added_to_those_of_a_row():
    study = STUDIES.get("paper-or-code")
    row = next(row for row in study.rows if row.name == "bias")
    options = configure(study, row, "quick", 0, {"model_options": {"leaky": True}}).model.options
    assert {"routing_bias": True, "leaky": True}.items() <= options.items()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda study: plan(study, "quik", 1, Path()), "unknown budget 'quik'; did you mean 'quick'"),
        (lambda study: plan(study, "quick", 0, Path()), "seeds must be at least 1, got 0"),
        (lambda study: configure(study, study.rows[0], "quick", 0, {"limt": 3}), "did you mean 'limit'"),
        (lambda study: replace(study, rows=study.rows * 2), "different names"),
        (lambda study: replace(study, comparisons=(Comparison("r1", "plane"),)), "did you mean 'plain'"),
        (lambda study: replace(study, together=Together("plane", "together")), "no row 'plane' of networks"),
    ],
)
def test_what_a_study_cannot_be_is_refused(study, call, message):
    with pytest.raises(UserError, match=message):
        call(STUDIES.get(study))


def test_run_is_finished_when_its_last_step_was_tested(tiny_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(tiny_run.folder, folder)
    task = Task(STUDIES.get("speedrun-mnist").rows[0], 0, folder, tiny_run.config)
    assert task.finished
    *rest, last = (folder / "metrics.csv").read_text().splitlines()
    step, tail = last.split(",", 1)
    (folder / "metrics.csv").write_text("\n".join([*rest, last, f"{int(step) + 1},{tail}", ""]))
    assert not task.finished


def test_epochs_of_one_layer_end_the_steps_of_those_below():
    study = STUDIES.get("sabour2017-multimnist")
    assert configure(study, study.rows[0], "full", 0).optimizer.steps > 1000
    assert configure(study, study.rows[0], "full", 0, {"epochs": 2}).optimizer.steps is None
    assert configure(study, study.rows[0], "full", 0, {"epochs": 2, "steps": 5}).optimizer.steps == 5


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("speedrun-mnist", {"seed": 3}, "seed cannot be changed in a study"),
        ("speedrun-mnist", {"execution": "eager"}, "give `execution` instead"),
        ("speedrun-mnist", {"data_dir": "x"}, "give `data_dir` instead"),
        (
            "capsnet-keras-table",
            {"epochs": 2},
            "epochs cannot be changed in this study: its runs are tested after 1 epochs",
        ),
        ("capsnet-project-table", {"steps": 20}, "steps cannot be changed in this study"),
        ("capsnet-project-table", {"schedule": "one-cycle"}, "schedule cannot be one-cycle in this study"),
    ],
)
def test_changes_without_an_effect_are_refused(name, changes, message):
    with pytest.raises(UserError, match=message):
        plan(STUDIES.get(name), "quick", 1, Path(), changes)


def test_change_that_has_an_effect_in_no_row_is_refused():
    study = STUDIES.get("paper-or-code")
    with pytest.raises(UserError, match=r"momentum must be left out, got 0\.5: it has no effect with adam"):
        plan(study, "quick", 1, Path(), {"momentum": 0.5})
    plan(study, "quick", 1, Path(), {"momentum": 0.5, "optimizer": "sgd"})


def test_folder_of_images_is_recorded_with_its_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    study = STUDIES.get("speedrun-mnist")
    assert configure(study, study.rows[0], "quick", 0, {"data": "photos"}).data.name == str(tmp_path / "photos")
