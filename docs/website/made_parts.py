"""Generated parts of pages: the mark `<!-- site: NAME -->` is replaced by the text of that name.

A sentence for readers of the repository may follow the mark, up to `<!-- end of site -->`: it is replaced, too.

No number of a page is typed: it comes from the registries of the package, from run folders, from what was measured.
"""

import contextlib
import html
import importlib
import io
import json
import os
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import deployment
import draw_page
import results
import speed
import yaml
from links import to_site

from capsnet.cli import VERBS
from capsnet.data import DATASETS
from capsnet.models import create_model, list_models
from capsnet.recipes import RECIPES, Recipe
from capsnet.recipes.recipe import OWN
from capsnet.runs import RunConfig
from capsnet.runs.weights import count_decoder, count_parameters, on_meta
from capsnet.studies import STUDIES

ROOT = Path(__file__).parents[2]
_COLUMNS = 78  # of a help text: as wide as the page at 1366 pixels
MARK = re.compile(r"<!-- site: ([\w-]+) -->(?:\n(?:(?!<!--|\n).*\n)+<!-- end of site -->)?")


def fill(text: str) -> str:
    """A page with its marks replaced.

    Raises:
        KeyError: a mark that has no text.
    """
    return MARK.sub(lambda mark: PARTS[mark[1]](), text)


def runs() -> str:
    """The table of results, as in the README."""
    return results.results()


def tables() -> str:
    """The papers' tables that were run, as in the README; for docs/studies/index.md."""
    return results.studies("")


def recipes() -> str:
    """Recipes in parts by their data and purpose; each opens to its source, the source's number and its options."""
    parts: dict[str, list[str]] = {title: [] for title in RECIPE_PARTS}
    for name in RECIPES.names():
        parts[recipe_part(name, RECIPES.get(name).config)].append(name)
    lines = []
    for title, names in parts.items():
        if names:
            lines += [f"### {title}", "", RECIPE_PARTS[title], "", *(_recipe(name) for name in names)]
    return "\n".join(lines)


RECIPE_PARTS = {
    "First steps": "A network in a few minutes, and two for your own images.",
    "MNIST on a CPU": "Schedules of minutes to two hours without a GPU; their lengths are this package's choice.",
    "CapsNet-Keras and CapsNet_Project": "The schedules of both repositories; [Coming from other "
    "packages](migration.md) has each of their commands.",
    "MNIST and Fashion-MNIST": "The papers' own schedules.",
    "Overlapping and transformed digits": "MultiMNIST: two digits in one image. affNIST: tested on digits that are "
    "rotated, sheared, scaled and moved.",
    "Colour images": "CIFAR-10, CIFAR-100 and SVHN.",
    "Objects from different viewpoints": "smallNORB: stereo pairs of toys.",
    "Further recipes": "",
}


def recipe_part(name: str, config: RunConfig) -> str:
    """The title of the part that a recipe belongs to."""
    data = config.data.name
    if name in ("quickstart", "own-images", "own-photos"):
        return "First steps"
    if name.startswith("capsnet-"):
        return "CapsNet-Keras and CapsNet_Project"
    if name.endswith("-quick") or name.startswith(("speedrun-", "shipped-")):
        return "MNIST on a CPU"
    if data in ("mnist", "fashion-mnist"):
        return "MNIST and Fashion-MNIST"
    if data.startswith(("multimnist", "affnist")):
        return "Overlapping and transformed digits"
    if data.startswith(("cifar", "svhn")):
        return "Colour images"
    if data.startswith("smallnorb"):
        return "Objects from different viewpoints"
    return "Further recipes"


def _recipe(name: str) -> str:
    """A recipe as a line that opens; a link to its name opens it."""
    recipe = RECIPES.get(name)
    lines = [
        f'<details class="recipe" id="{name}" markdown>',
        f"<summary><code>{name}</code> <span>{html.escape(recipe.summary)}</span></summary>",
        "",
        f"```bash\ncapsnet train {name}\n```",
        "",
        f"- **Source**: {recipe.source}",
        f"- **It reports**: {recipe.reported}",
        f"- **What differs here**: {recipe.differs}",
        f"- **Options**: {_changed(recipe.config)}",
        "",
        *_origins(recipe),
        "</details>",
        "",
    ]
    return "\n".join(lines)


def _origins(recipe: Recipe) -> list[str]:
    """Where each option of a recipe comes from; nothing where all of them are this package's choice."""
    if set(recipe.settings.values()) == {OWN}:
        return []
    rows = [f"| `{option}` | {_linked(origin)} |" for option, origin in recipe.settings.items()]
    return ["| option | where it comes from |", "|:--|:--|", *rows, ""]


def _linked(origin: str) -> str:
    """An origin in code as a link to its first line."""
    place = re.match(r"([\w-]+/[\w.-]+)@([0-9a-f]{7}) ([^:]+):(\d+)", origin)
    if place is None:
        return origin
    repository, commit, file, line = place.groups()
    return f"[{origin}](https://github.com/{repository}/blob/{commit}/{quote(file)}#L{line})"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _changed(config: RunConfig) -> str:
    """The options of a configuration that are not the defaults."""
    plain = RunConfig().options()
    words = []
    for name, value in config.options().items():
        if name in ("recipe", "data") or value == plain[name]:
            continue
        if isinstance(value, bool):
            words.append(f"--{name.replace('_', '-')}")
        elif name == "model_options":
            words.append("--option " + " ".join(f"{key}={json.dumps(option)}" for key, option in value.items()))
        elif isinstance(value, float):
            words.append(f"--{name.replace('_', '-')} {value:.4g}")
        else:
            words.append(f"--{name.replace('_', '-')} {value}")
    return ", ".join(f"`{word}`" for word in (f"--data {config.data.name}", *words))


def models() -> str:
    """Every model with its number of parameters, the decoder apart."""
    lines = ["| model | parameters without decoder | decoder |", "|:--|--:|--:|"]
    for name in list_models():
        with on_meta():
            model = create_model(name)
        decoder = count_decoder(model)
        lines.append(f"| `{name}` | {count_parameters(model) - decoder:,} | {f'{decoder:,}' if decoder else ''} |")
    return "\n".join(lines)


def data() -> str:
    """Every data set."""
    return "\n".join(
        ["| data | what |", "|:--|:--|", *(f"| `{name}` | {DATASETS.get(name).summary} |" for name in DATASETS.names())]
    )


def studies() -> str:
    """Every study: its page where one is written, its command, and how long its budgets are."""
    parts = []
    for name in STUDIES.names():
        study = STUDIES.get(name)
        written = (ROOT / "docs" / "studies" / f"{name}.md").is_file()
        parts += [f"### {f'[{name}]({name}.md)' if written else name}", ""]
        parts += ["| budget | what is done |", "|:--|:--|"]
        parts += [f"| {budget} | {study.budget(budget).summary} |" for budget in ("quick", "full")]
        parts += ["", f"```bash\ncapsnet reproduce {name} --budget quick\n```", ""]
    return "\n".join(parts)


def speeds() -> str:
    """The table of speeds."""
    results = [json.loads(path.read_text()) for path in sorted((ROOT / "benchmarks" / "results").glob("*.json"))]
    return speed.table(results, json.loads((ROOT / "benchmarks" / "published.json").read_text()))


def benchmarks() -> str:
    """What is measured, and how: benchmarks/README.md without its title."""
    text = (ROOT / "benchmarks" / "README.md").read_text().partition("\n")[2]
    return to_site(text, "benchmarks/README.md", "speed.md")


def commands() -> str:
    """The `--help` text of each verb."""
    parts = []
    for verb, summary in VERBS.items():
        parts += [f"## {verb}", "", f"{_sentence(summary)}", "", f"```text\n{_help(verb)}\n```", ""]
    return "\n".join(parts)


def _help(verb: str) -> str:
    output = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(_COLUMNS)
    try:
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            importlib.import_module(f"capsnet.cli.{verb.replace('-', '_')}").main(["--help"])
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return "\n".join(_wrap(line.rstrip()) for line in output.getvalue().strip().splitlines())


def _wrap(line: str) -> str:
    """A line of help; a longer one than the page shows, in several."""
    if len(line) <= _COLUMNS:
        return line
    indent = " " * (len(line) - len(line.lstrip()))
    indent += "  " if indent else ""
    return textwrap.fill(line, _COLUMNS, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def cite() -> str:
    """How to cite, from CITATION.cff."""
    values = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    authors = " and ".join(author["name"] for author in values["authors"])
    lines = ["# How to cite", "", values["message"], "", "```bibtex", "@software{capsnet,"]
    lines += [f"  title = {{{values['title']}}},", f"  author = {{{{{authors}}}}},"]
    lines += [f"  version = {{{values['version']}}},", f"  license = {{{values['license']}}}", "}"]
    for entry in values["references"]:
        names = " and ".join(f"{author['family-names']}, {author['given-names']}" for author in entry["authors"])
        lines += ["", f"@inproceedings{{{entry['authors'][0]['family-names'].lower()}{entry['year']},"]
        lines += [f"  title = {{{entry['title']}}},", f"  author = {{{names}}},"]
        lines += [f"  booktitle = {{{entry['collection-title']}}},", f"  year = {{{entry['year']}}}", "}"]
    return "\n".join([*lines, "```", ""])


PARTS: dict[str, Callable[[], str]] = {
    "runs": runs,
    "tables": tables,
    "recipes": recipes,
    "models": models,
    "data": data,
    "studies": studies,
    "speeds": speeds,
    "benchmarks": benchmarks,
    "commands": commands,
    "deployment": deployment.table,
    "draw": draw_page.button,
}
