"""What the README and the pages of docs/ tell people to type works."""

import importlib
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.test_architecture import LEVELS

from capsnet import cli
from capsnet.cli.train import Train
from capsnet.data import DATASETS
from capsnet.recipes import RECIPES
from capsnet.routing import ROUTINGS
from capsnet.studies import STUDIES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(path for path in sorted(DOCS.rglob("*.md")) if "pages" not in path.parts)]
# numbers of a page, and smaller ones that say as much of whether its code works
SHORT = {
    "docs/interop.md": {
        "images[:500], labels[:500]": "images[:100], labels[:100]",
        "epochs=5": "epochs=1",
        "steps=20": "steps=2",
        "range(5)": "range(2)",
    }
}
# what only prints
CHEAP = ("list", "--version")


class Parsed(Exception):
    """Carries what a verb read from its words; nothing is done."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    lines = [line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    return [re.sub(r"^([A-Z_]+=\S+ )*(torchrun .*-m )?", "", line) for line in lines if "capsnet " in line]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


WITH_PYTHON = [page for page in PAGES if page.parent != ROOT and blocks(page, "python")]
WITH_COMMANDS = [page for page in PAGES if commands(page)]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name)
def test_python_blocks_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ROUTINGS, "_values", dict(ROUTINGS._values))
    names: dict[str, object] = {"__name__": "page"}
    text = "\n".join(blocks(page, "python"))
    for written, short in SHORT.get(name(page), {}).items():
        assert written in text
        text = text.replace(written, short)
    exec(text, names)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name)
def test_commands_of_a_page_are_understood(page, monkeypatch, capsys):
    for line in commands(page):
        program, verb, *words = shlex.split(line, comments=True)
        assert program == "capsnet"
        if verb in CHEAP:
            assert cli.main([verb, *words]) == 0, line
            continue
        assert verb in cli.VERBS, line
        module = importlib.import_module(f"capsnet.cli.{verb.replace('-', '_')}")
        check(line, read(module, words, monkeypatch))
    capsys.readouterr()


def test_commands_in_the_tables_of_the_migration_page_are_understood(monkeypatch):
    inline = re.findall(r"`capsnet ([^`]+)`", (DOCS / "migration.md").read_text())
    # RUN and STUDY stand for names
    whole = [line for line in inline if not re.search(r"\b[A-Z]{3,}\b", line)]
    assert len(whole) > 20
    for line in whole:
        verb, *words = shlex.split(line)
        if verb not in CHEAP:
            module = importlib.import_module(f"capsnet.cli.{verb.replace('-', '_')}")
            check(line, read(module, words, monkeypatch))


def read(module, words, monkeypatch):
    """What a verb makes of its words."""
    parse = importlib.import_module("capsnet.cli.parse").parse

    def stop(*arguments, **options):
        raise Parsed(parse(*arguments, **options))

    with monkeypatch.context() as patch:
        patch.setattr(module, "parse", stop)
        if module.__name__ == "capsnet.cli.train":
            # the folders and runs of a page do not exist
            run = SimpleNamespace(config=RECIPES.get("quickstart").config)
            patch.setattr(module, "find_task", lambda *_: None)
            patch.setattr(module, "Run", SimpleNamespace(open=lambda _: run))
        with pytest.raises(Parsed) as caught:
            module.main(words)
    return caught.value.args[0]


def check(line, options):
    """Names are those of the registries."""
    if isinstance(options, Train):
        assert options.recipe is None or options.recipe in RECIPES, line
        assert options.model.routing is None or options.model.routing in ROUTINGS, line
        own = options.data.name.endswith(("/", ".tar", ".ts")) or options.data.name.startswith("hf:")
        assert own or options.data.name in DATASETS, line
    if study := getattr(options, "study", None):
        assert study in STUDIES, line


def test_a_wrong_command_is_found(monkeypatch):
    module = importlib.import_module("capsnet.cli.train")
    with pytest.raises(cli.UserError, match="unknown option --epoch-number"):
        read(module, ["--epoch-number", "3"], monkeypatch)
    with pytest.raises(cli.UserError, match="unknown recipe 'no-such-recipe'"):
        read(module, ["no-such-recipe"], monkeypatch)
    with pytest.raises(AssertionError):
        check("", read(module, ["--data", "no-such-data"], monkeypatch))


def test_every_page_is_in_the_navigation_of_the_site():
    written = (ROOT / "mkdocs.yml").read_text()
    pages = [str(page.relative_to(DOCS)) for page in PAGES if page.is_relative_to(DOCS)]
    # the site lists these two folders by itself
    named = [page for page in pages if not page.startswith(("routings/", "studies/"))]
    assert len(named) > 8
    assert not [page for page in named if f" {page}\n" not in written]


def test_pictures_of_every_page_exist():
    for page in PAGES:
        pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())
        assert not [picture for picture in pictures if not (page.parent / picture).is_file()], page


def test_examples_that_pages_name_exist():
    named = {path for page in PAGES for path in re.findall(r"(?<![\w/])examples/[\w/]+\.\w+", page.read_text())}
    assert "examples/pictures/seven.jpg" in named
    assert not [path for path in named if not (ROOT / path).is_file()]


def test_files_that_the_architecture_page_names_exist():
    named = set(re.findall(r"`([\w/]+\.py|[\w/]+/)`", (DOCS / "architecture.md").read_text()))
    assert len(named) > 50
    missing = [path for path in named if not ((ROOT / "src" / "capsnet" / path).exists() or (ROOT / path).exists())]
    assert not missing


def test_architecture_page_has_every_room_at_its_level():
    text = (DOCS / "architecture.md").read_text()
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", text, re.MULTILINE)
    shown = {
        name.strip("/").removesuffix(".py"): int(level)
        for level, names in rows
        for name in re.findall(r"`([^`]+)`", names)
    }
    assert shown == {room: level for room, level in LEVELS.items() if room != "__main__"}
