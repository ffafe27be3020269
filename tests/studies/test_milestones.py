import json
from dataclasses import replace

import pytest
import torch
from tests.studies.conftest import SHRUNK, make_study

from capsnet.errors import UserError
from capsnet.runs.weights import read_tensors
from capsnet.studies import STUDIES, plan, reproduce
from capsnet.studies.markdown import to_markdown
from capsnet.studies.milestones import read_milestones, train_in_stages
from capsnet.studies.study import Accuracy, Budget


@pytest.fixture
def staged(monkeypatch):
    study = make_study()
    r1 = replace(study.rows[0], milestones={1: Accuracy(90.65, 98.51)})
    whole = Budget("two epochs, tested after each", 1, {**SHRUNK, "validation": 0}, stages=(1, 2))
    study = replace(study, rows=(r1,), comparisons=(), budgets={"quick": whole, "full": replace(whole, stages=())})
    monkeypatch.setitem(STUDIES._values, "staged", study)


@pytest.mark.usefixtures("staged")
def test_weights_of_a_run_in_stages_are_those_of_an_undivided_run(tmp_path):
    reproduce("staged", out=tmp_path / "stages")
    reproduce("staged", budget="full", out=tmp_path / "whole")
    tensors = [
        read_tensors(tmp_path / name / "runs" / "r1-seed0" / "weights.safetensors")[0] for name in ("stages", "whole")
    ]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[1])


@pytest.mark.usefixtures("staged")
def test_table_has_accuracies_beside_the_sources(tmp_path):
    table = reproduce("staged", out=tmp_path / "s")
    first, last = table["rows"][0]["milestones"]
    assert (first["epochs"], first["source_train"], first["source_test"]) == (1, 90.65, 98.51)
    assert last["source_test"] is None
    assert last["test"] == pytest.approx(100 - table["rows"][0]["mean"])
    text = to_markdown(table)
    assert "| one iteration, test, source | 98.51 |  |" in text
    assert f"| one iteration, training, ours | {first['train']:.2f} | {last['train']:.2f} |" in text
    assert "evaluated once" not in text


@pytest.mark.usefixtures("staged")
def test_training_accuracy_is_the_mean_over_the_epochs_images(tmp_path):
    reproduce("staged", out=tmp_path / "s")
    folder = tmp_path / "s" / "runs" / "r1-seed0"
    # 96 images in 3 steps of 32: each row is a step
    rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    accuracy = [float(row[rows[0].index("accuracy")]) for row in rows[1:]]
    assert len(accuracy) == 6
    found = [one["train_accuracy"] for one in read_milestones(folder)]
    assert found == pytest.approx([sum(accuracy[:3]) / 3, sum(accuracy[3:]) / 3])


@pytest.mark.usefixtures("staged")
def test_run_that_was_stopped_before_a_milestone_was_written_goes_on(tmp_path):
    folder = tmp_path / "run"
    (task,) = plan(STUDIES.get("staged"), "quick", 1, tmp_path)
    train_in_stages(folder, task.config, (1, 2))
    whole = (folder / "milestones.json").read_text()
    # killed after the test of the last stage
    (folder / "milestones.json").write_text(json.dumps({"milestones": json.loads(whole)["milestones"][:1]}))
    train_in_stages(folder, task.config, (1, 2))
    assert (folder / "milestones.json").read_text() == whole


def test_damaged_milestones_are_a_users_fault(tmp_path):
    (tmp_path / "milestones.json").write_text('{"milestones": [{"epochs": "one"}]}')
    with pytest.raises(UserError, match=r"milestones\.json"):
        read_milestones(tmp_path)
