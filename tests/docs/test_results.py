"""The tables of results in README.md."""

import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("results")


def table(budget: str) -> dict:
    row = {"name": "r3", "n": 1, "mean": 0.41, "interval": [0.3, 0.55]}
    schedule = "all 60,000 training images, 20 epochs; more"
    return {"budget": budget, "schedule": schedule, "rows": [row], "machines": ["a CPU, 2 threads, fp32"]}


def test_a_table_that_was_not_run_is_said_not_to_be(results, tmp_path):
    lines = results.readme_rows("capsnet-keras-table", "CapsNet-Keras", tmp_path)
    assert lines == [
        "| CapsNet-Keras: r = 3, 20 epochs | 0.41 % (n = 1) | not yet run in full |  |  |",
        "| CapsNet-Keras: r = 1, 20 epochs | 0.42 % (n = 1) | not yet run in full |  |  |",
    ]


@pytest.mark.parametrize(
    ("budget", "here"),
    [
        ("full", "0.41 % (0.30 to 0.55), 1 seed"),
        (
            "quick",
            "0.41 % (0.30 to 0.55), 1 seed, all 60,000 training images, 20 epochs; not yet run in full",
        ),
    ],
)
def test_a_table_of_a_quick_budget_is_not_shown_as_one_of_full_length(results, tmp_path, budget, here):
    (tmp_path / "capsnet-keras-table").mkdir()
    (tmp_path / "capsnet-keras-table" / "table.json").write_text(json.dumps(table(budget)))
    first, second = results.readme_rows("capsnet-keras-table", "CapsNet-Keras", tmp_path)
    assert f"| {here} | last step | a CPU, 2 threads, fp32 |" in first
    assert "not yet run" in second


def test_readme_shows_the_tables_that_docs_fill_makes(results, monkeypatch):
    speed = importlib.import_module("speed")
    text = (ROOT / "README.md").read_text()
    filled = results.put(text, results.RESULTS, results.results())
    filled = speed.fill(results.put(filled, results.TABLES, results.studies("docs/studies/")))
    assert results.publish_links(filled, ROOT / "pyproject.toml") == text


def test_cuda_is_called_untested_until_a_gpu_was_measured(results):
    speed = importlib.import_module("speed")
    cpu, gpu = ({"machine": {"device": name}, "rows": []} for name in ("AMD EPYC", "NVIDIA H100"))
    assert "CUDA path of this package is untested" in speed.table([cpu], [])
    assert "untested" not in speed.table([cpu, gpu], [])


def test_links_to_files_become_absolute_and_others_stay(results):
    text = "![a picture](docs/a.png) [page](docs/b.md#part) [x](https://a.org) [here](#start)"
    assert results.absolute_links(text, "https://code.org/me/it") == (
        "![a picture](https://code.org/me/it/raw/main/docs/a.png) "
        "[page](https://code.org/me/it/blob/main/docs/b.md#part) [x](https://a.org) [here](#start)"
    )


@pytest.mark.parametrize("document", ["README.md", "made"])
def test_every_link_of_the_readme_is_absolute_once_the_project_names_its_repository(results, tmp_path, document):
    address = "https://code.example/me/it"
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "it"\n[project.urls]\nRepository = "{address}"\n')
    text = (ROOT / "README.md").read_text() if document == "README.md" else results.studies("docs/studies/")
    once = results.publish_links(text, tmp_path / "pyproject.toml")
    targets = re.findall(r"\]\(([^)]+)\)", once)
    assert len(targets) == len(re.findall(r"\]\(", text))
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    ours = [target.removeprefix(address).split("#")[0] for target in targets if target.startswith(address)]
    assert ours
    assert [path for path in ours if not (ROOT / re.sub(r"^/(blob|raw)/main/", "", path)).exists()] == []
    assert results.publish_links(once, tmp_path / "pyproject.toml") == once
