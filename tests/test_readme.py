"""What the README says works."""

import re
from pathlib import Path

import pytest

from capsnet.cli import VERBS

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.filterwarnings("error")
def test_python_blocks_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(block, names)


def test_commands_exist():
    verbs = re.findall(r"^capsnet (\w+)", "".join(blocks("bash")), re.MULTILINE)
    assert verbs
    assert set(verbs) <= set(VERBS)


def test_pictures_exist():
    root = Path(__file__).parents[1]
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert pictures
    assert not [picture for picture in pictures if not (root / picture).is_file()]
