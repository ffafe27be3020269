"""Fill the pages of the routings: what each costs, from benchmarks/results, and what its picture shows.

Only the text between two marks is written; no number in it is typed by hand.
"""

import json
import sys
from inspect import cleandoc
from pathlib import Path

from routing_pictures import Record, read_records

from capsnet.bench import Results, Row
from capsnet.routing import ROUTINGS

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "routings"
MARKS = {
    "cost": ("<!-- cost: made by docs/fill.py from benchmarks/results -->", "<!-- end of cost -->"),
    "picture": ("<!-- picture: made by docs/fill.py from pictures -->", "<!-- end of picture -->"),
}
TITLES = {
    "dense": "A class layer: {types:,} children, {parents} parents of {parent dim} numbers, batch {batch}",
    "conv": "A convolutional capsule layer: {side}x{side} positions with {types} types each, {kernel}x{kernel} "
    "windows, stride {stride}, {parents} parent types of {parent dim} numbers, batch {batch}",
}
HEAD = (
    "| routing | forward, ms | forward and backward, ms | times `uniform` | memory at the peak, MB | in votes |\n"
    "|:--|--:|--:|--:|--:|--:|"
)
Pair = tuple[Row, Row]


def read_results(folder: Path = ROOT / "benchmarks" / "results") -> list[Results]:
    """All results in which routings were measured."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return [one for one in results if pairs(one)]


def pairs(results: Results) -> list[Pair]:
    """Forward, and forward and backward, of each layer of which both were measured."""
    layers: dict[str, dict[str, Row]] = {}
    for row in results["rows"]:
        if row["bench"] == "routings":
            sizes = {name: value for name, value in row["case"].items() if name != "pass"}
            layers.setdefault(json.dumps(sizes), {})[str(row["case"]["pass"])] = row
    return [(rows["forward"], rows["forward and backward"]) for rows in layers.values() if len(rows) == 2]


def table(forward: Row, both: Row) -> str:
    """One layer: each path a row, the control first."""
    lines = [
        f"**{TITLES[str(both['case']['layer'])].format_map(both['case'])}**: {both['votes']:.3g} MB of votes.",
        "",
        HEAD,
    ]
    control = both["times"]["uniform"]["median"]
    for path, time in both["times"].items():
        name, _, form = path.partition(", ")
        memory = both["megabytes"][path]
        lines.append(
            f"| [{name}]({name}.md){', ' if form else ''}{form} | {_spread(forward, path)} | {_spread(both, path)} "
            f"| {time['median'] / control:.1f} | {memory:,.0f} | {memory / both['votes']:.1f} |"
        )
    return "\n".join(lines)


def _spread(row: Row, path: str) -> str:
    time = row["times"][path]
    median, low, high = (
        f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in (time["median"], time["low"], time["high"])
    )
    return f"{median} ({low} to {high})"


def where(results: Results) -> str:
    """The machine that a table belongs to."""
    machine = results["machine"]
    hardware = str(machine["device"])
    if not hardware.startswith("NVIDIA"):
        threads = int(str(machine["threads"]))
        hardware += f", {threads} thread{'' if threads == 1 else 's'}, {machine['instructions']}"
    # rows that were kept from earlier results have a commit of their own
    commit = pairs(results)[0][0].get("commit", machine["commit"])
    return f"{hardware}; torch {machine['torch']}, commit {commit}"


def tables(results: list[Results]) -> str:
    """All layers on all machines; without any, how to measure them."""
    if not results:
        return "Not measured yet: `capsnet bench routings --out benchmarks/results`, then `docs/fill.py`."
    parts = []
    for one in results:
        parts += [f"*{where(one)}; medians with quartiles, float32.*", *(table(*pair) for pair in pairs(one))]
    return "\n\n".join(parts)


def cost(name: str, results: list[Results]) -> str:
    """What one routing takes in the class layer of the largest batch, and in the convolutional one.

    Of several results it shows the first in which the routing was measured.
    """
    words = []
    measured = [one for one in results if any(name in both["times"] for _, both in pairs(one))]
    for one in (measured or results)[:1]:
        rows = {str(pair[1]["case"]["layer"]): pair[1] for pair in pairs(one)}
        for layer, row in rows.items():
            forms = [path for path in row["times"] if path.partition(", ")[0] == name]
            place = "class layer" if layer == "dense" else "convolutional capsule layer"
            if forms:
                words.append(
                    f"- {place}, batch {row['case']['batch']}: {'; '.join(_cost(row, path) for path in forms)}"
                )
        if not words:
            return "Not measured yet: `capsnet bench routings`."
        words.append(f"\n([all of them](README.md#what-they-cost); {where(one)})")
    return "Measured, forward and backward:\n\n" + "\n".join(words) if words else ""


def _cost(row: Row, path: str) -> str:
    time = row["times"][path]["median"] / row["times"]["uniform"]["median"]
    memory = row["megabytes"][path] / row["votes"]
    form = path.partition(", ")[2]
    return f"{form} {time:.1f} times the time of `uniform`, {memory:.1f} times the memory of the votes".lstrip()


def picture(record: Record) -> str:
    """The picture of a routing with its caption."""
    name, training = record["routing"], record["training"]
    options = "".join(f", `{key}={value}`" for key, value in training["options"].items())
    right = [str(digit["label"]) for digit in record["digits"] if digit["classes"][0] == digit["label"]]
    shown = "It misclassifies all digits shown here."
    if right:
        *most, last = right
        shown = f"It classifies the {', the '.join(most)}{' and the ' if most else ''}{last} shown here correctly."
    return (
        f"![Which positions feed a class with {name} routing](pictures/{name}.png)\n\n"
        "A small network (two 5x5 convolutions, 8 capsules at each of 10x10 positions, this routing) after "
        f"{training['steps']} steps of {training['batch']} MNIST images with the {training['loss']} loss{options} and "
        f"Adam at {training['rate']:g}; one seed, "
        f"{100 * record['accuracy']:.1f} % of the first {record['tested']:,} test images correct. {shown} "
        "`docs/routing_models.py` trained it; the numbers are in "
        f"[{name}.json](pictures/{name}.json)."
    )


def overview(records: dict[str, Record]) -> str:
    """The picture of all routings, with what the small networks reach."""
    reached = ", ".join(f"{name} {100 * record['accuracy']:.1f}" for name, record in records.items())
    tested = {record["tested"] for record in records.values()}
    return (
        "![The same digits with every routing](pictures/all.png)\n\n"
        f"Accuracy in percent on {max(tested):,} test images after the same few steps, one seed each, each with the "
        f"loss, options and learning rate on its page: {reached}. These are not results: they show only that the "
        "networks have learned."
    )


def replace(text: str, kind: str, made: str) -> str:
    """Put text between the marks of its kind."""
    begin, end = MARKS[kind]
    before, rest = text.split(begin)
    return f"{before}{begin}\n{made}\n{end}{rest.split(end)[1]}"


def fill(name: str, text: str) -> str:
    """A page with all that is measured in it; the list of routings is `README`."""
    results, records = read_results(), read_records()
    if name == "README":
        return replace(replace(text, "cost", tables(results)), "picture", overview(records))
    shown = picture(records[name]) if name in records else ""
    return replace(replace(text, "cost", cost(name, results)), "picture", shown)


def generated() -> dict[str, str]:
    """Pages of the site for routings that have none in docs/routings, made of their documentation: path and text."""
    pages = {}
    for name in ROUTINGS.names():
        if not (PAGES / f"{name}.md").exists():
            build = ROUTINGS.get(name)
            source = cleandoc(sys.modules[build.__module__].__doc__ or "")
            words = cleandoc(build.__doc__ or "").partition("\n\nArgs:")[0]
            text = f"# {name}\n\n{source}\n\n{words}\n\n`{build.__module__}.{build.__name__}`; not measured yet.\n"
            pages[f"routings/{name}.md"] = text
    return pages


def write_pages() -> list[Path]:
    """Fill all pages in docs/routings; returns them."""
    pages = sorted(PAGES.glob("*.md"))
    for page in pages:
        page.write_text(fill(page.stem, page.read_text()))
    return pages


if __name__ == "__main__":
    print(*write_pages(), sep="\n")
