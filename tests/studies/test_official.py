"""The studies whose data must be fetched by hand run on small made-up files in the official formats."""

import json
from dataclasses import replace

import pytest
from tests.official import write_affnist, write_cifar10, write_mnist, write_smallnorb, write_svhn
from tests.studies.test_runner import times

from capsnet.cli import main
from capsnet.errors import UserError
from capsnet.models import MODELS
from capsnet.runs import Run
from capsnet.studies import STUDIES, make_table, plan, reproduce
from capsnet.studies.markdown import to_markdown

STEPS = {"steps": 2, "batch_size": 4}


@pytest.fixture
def small(monkeypatch, small_cnns):
    """The paper's networks by their names, with few channels."""
    few = {"stem_channels": 4, "num_types": 2}
    monkeypatch.setitem(MODELS._values, "capsnet", replace(MODELS.get("capsnet"), options=few))


def mean(values):
    return pytest.approx(sum(values) / len(values))


def results_of(folder, row):
    return [json.loads(path.read_text())["test"] for path in sorted(folder.glob(f"runs/{row}-seed*/evaluation.json"))]


@pytest.mark.parametrize(
    ("name", "write", "paper"), [("smallnorb", write_smallnorb, "2.70 %"), ("svhn", write_svhn, "4.30 %")]
)
def test_single_network_stands_beside_the_papers_number(tmp_path, small, name, write, paper):
    write(tmp_path)
    table = reproduce(f"sabour2017-{name}", seeds=1, out=tmp_path / "s", data_dir=tmp_path, changes=STEPS)
    assert table["rows"][0]["n"] == 1
    assert paper in to_markdown(table)
    assert "two-way" not in to_markdown(table)


def test_pairs_have_both_errors(tmp_path, small):
    write_mnist(tmp_path)
    folder = tmp_path / "s"
    table = reproduce("sabour2017-multimnist", out=folder, data_dir=tmp_path, changes=STEPS)
    assert [row["name"] for row in table["rows"]] == ["baseline", "r1-recon", "r3-recon"]
    for row in table["rows"]:
        tests = results_of(folder, row["name"])
        assert row["errors"] == [100 - 100 * test["accuracy"] for test in tests]
        assert row["mean"] == mean(row["errors"])
        missed = [sum(sum(line) - line[k] for k, line in enumerate(test["confusion"])) for test in tests]
        assert row["digit_errors"] == [100 * count / 40 for count in missed]
        assert row["digit_mean"] == mean(row["digit_errors"])
        assert (row["images"], row["wrong"]) == (40, sum(round(20 - 20 * test["accuracy"]) for test in tests))
    text = to_markdown(table)
    assert "| reported, exact pairs | ours, exact pairs, mean (seeds) |" in text
    assert "| ours, single digits |" in text
    assert "| 5.20 % |" in text


MATCHED = {**STEPS, "steps": None, "epochs": 2, "validation": 10, "stop_at": 0.05}


def test_networks_are_compared_at_one_clean_accuracy(tmp_path, small):
    write_affnist(tmp_path)
    table = reproduce("sabour2017-affnist", seeds=1, out=tmp_path / "s", data_dir=tmp_path, changes=MATCHED)
    for row in table["rows"]:
        result = Run.open(tmp_path / "s" / "runs" / f"{row['name']}-seed0").evaluation()
        assert row["clean_errors"] == [pytest.approx(100 - 100 * result["validation"]["accuracy"])]
        assert row["reached"] == (result["validation"]["accuracy"] >= 0.05)
        assert row["held_out"] == 10
        assert result["test"]["data"] == "affnist"
    assert table["title"] == "sabour2017-affnist, quick budget, on affnist, changed"
    assert "| 21.00 % |" in to_markdown(table)
    assert "an accuracy of at least 5 % on 10 held-out" in to_markdown(table)


def test_rows_that_fall_short_of_the_clean_accuracy_are_said_to(tmp_path, small):
    write_affnist(tmp_path)
    changes = {**MATCHED, "stop_at": 1.0}
    table = reproduce("sabour2017-affnist", seeds=1, out=tmp_path / "s", data_dir=tmp_path, changes=changes)
    expected = "1 of 1 runs of CNN and 1 of 1 runs of CapsNet, r = 3, reconstruction did not reach this level"
    assert expected in to_markdown(table)


def test_study_that_began_on_the_stand_in_stays_on_it(tmp_path, small, capsys):
    write_mnist(tmp_path)
    folder, changes = tmp_path / "s", {**MATCHED, "epochs": 1}
    table = reproduce("sabour2017-affnist", seeds=1, out=folder, data_dir=tmp_path, changes=changes)
    text = (folder / "table.md").read_text()
    assert text.startswith("# sabour2017-affnist, quick budget, on affnist-like, changed")
    assert "Errors on it are not errors on affNIST" in text
    assert [row["paper"] for row in table["rows"]] == [None, None]
    before = times(folder)
    (tmp_path / "affnist").mkdir()
    (tmp_path / "affnist" / "test.mat").touch()
    assert reproduce("sabour2017-affnist", seeds=1, out=folder, data_dir=tmp_path, changes=changes) == table
    assert times(folder) == before
    with pytest.raises(UserError, match=r"test\.mat"):
        reproduce("sabour2017-affnist", seeds=1, out=tmp_path / "new", data_dir=tmp_path, changes=changes)


@pytest.fixture
def networks(tmp_path, small):
    """Two networks for CIFAR-10, and the folders of data and study."""
    write_cifar10(tmp_path)
    few = {"leaky": True, "padding": "same", "num_types": 2}
    options = {"seeds": 2, "out": tmp_path / "s", "data_dir": tmp_path, "changes": {**STEPS, "model_options": few}}
    return options, reproduce("sabour2017-cifar10", **options)


def test_networks_together_are_tested_as_the_command_tests_them(networks, capsys):
    options, table = networks
    single, together = table["rows"]
    line = ["evaluate", *(str(options["out"] / "runs" / f"networks-seed{seed}") for seed in (0, 1))]
    assert main([*line, "--data-dir", str(options["data_dir"]), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert json.loads((options["out"] / "together.json").read_text())["test"] == told
    assert together["errors"] == [told["error_percent"]]
    assert (together["label"], together["n"]) == ("2 networks together, by summed lengths", 1)
    assert together["paper"]["error"] == 10.6
    assert together["parameters"] == 2 * single["parameters"]
    assert single["paper"] is None
    assert "| 2 networks together, by summed lengths | 10.60 % |" in to_markdown(table)


def test_networks_together_are_tested_once(networks, monkeypatch):
    options, table = networks
    before = times(options["out"])
    with monkeypatch.context() as patch:
        patch.setattr("capsnet.studies.runner.evaluate_together", lambda *args: 1 / 0)
        assert reproduce("sabour2017-cifar10", **options) == table
    assert times(options["out"]) == before
    # one that was killed before its file was whole is tested again
    (options["out"] / "together.json").write_text('{"runs": ')
    assert reproduce("sabour2017-cifar10", **options) == table


def test_networks_together_are_others_when_one_was_trained_anew(networks, capsys):
    options, _ = networks
    path = options["out"] / "runs" / "networks-seed0" / "evaluation.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps({**result, "test": {**result["test"], "margin_loss": 9.0}}))
    reproduce("sabour2017-cifar10", **options, small=True)
    assert json.loads((options["out"] / "together.json").read_text())["runs"]["networks-seed0"] == 9.0
    (options["out"] / "together.json").unlink()
    table = reproduce("sabour2017-cifar10", **options)
    assert table["rows"][1]["n"] == 0
    assert "weights of networks-seed0, networks-seed1 were deleted" in capsys.readouterr().err


def test_one_network_alone_is_not_several(tmp_path):
    name = "sabour2017-cifar10"
    table = make_table(name, "full", plan(STUDIES.get(name), "full", 1, tmp_path), "command")
    assert table["rows"][1]["label"] == "7 networks together, by summed lengths"
    assert "| 7 networks together, by summed lengths | 10.60 % | no run finished | 0 |" in to_markdown(table)
