"""The tables of docs/segmentation.md, from docs/segmentation.json, which benchmarks/segmentation.py writes."""

import json
from collections.abc import Iterable
from pathlib import Path

MARKS = "<!-- segmentation: made by docs/fill.py -->", "<!-- end of segmentation -->"
MEMORY = "<!-- segmentation memory: made by docs/fill.py -->", "<!-- end of segmentation memory -->"
MEASURED = Path(__file__).with_name("segmentation.json")
KEYS = ("dice_all", "dice", "iou", "shared_pixels_found", "images_with_absent_class")
BLIND = "all ink as each of the ten digits"


def table() -> str:
    """Dice, IoU and time of each network, mean and standard deviation over seeds, and the trivial answers."""
    measured = json.loads(MEASURED.read_text())
    setting, models, trivial = measured["settings"], measured["models"], measured["trivial"]
    steps = sorted({count for row in models.values() for count in row["steps"]})
    seeds = {row["seeds"] for row in models.values()}
    spread = "one seed" if seeds == {1} else "mean ± standard deviation over seeds"
    rates = _join(sorted({f"{row['lr']:g}" for row in models.values()}))
    intro = (
        f"{_join(f'{count:,}' for count in steps)} steps of {setting['batch']} pairs, "
        f"{setting['side']}x{setting['side']} pixels, learning rate up to {rates}; tested on "
        f"{setting['test_pairs']:,} pairs of test digits; {spread}; torch {measured['machine']['torch']}, one CPU core:"
    )
    lines = [
        "| | parameters | Dice, all masks | Dice, the two digits | IoU | shared pixels found "
        "| images with a third digit | training |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in models.values():
        cells = " | ".join(_percent(row[key], row["seeds"]) for key in KEYS)
        time = f"{row['processor_seconds']['mean']:,.0f} s"
        lines.append(f"| {row['title']} | {row['parameters']:,} | {cells} | {time} |")
    for name, scores in trivial.items():
        lines.append(f"| *{name}* | 0 | {' | '.join(f'{100 * scores[key]:.1f} %' for key in KEYS)} | none |")
    return "\n".join([intro, "", *lines, "", _verdict(models, trivial)])


def _percent(value: dict[str, float], seeds: int) -> str:
    spread = "" if seeds == 1 else f" ± {100 * value['std']:.1f}"
    return f"{100 * value['mean']:.1f}{spread} %"


def _verdict(models: dict[str, dict[str, dict[str, float]]], trivial: dict[str, dict[str, float]]) -> str:
    """What the table allows to say."""
    blind = trivial[BLIND]["dice_all"]
    titles = {row["title"]: row["dice_all"]["mean"] for row in models.values()}
    ahead = [title for title, dice in titles.items() if dice > blind]
    if not ahead:
        return f"**No network tells the digits apart at this budget**: *{BLIND}* has a higher Dice over all masks."
    order = sorted(ahead, key=lambda title: -titles[title])
    behind = [title for title in titles if title not in ahead]
    missing = f" {_join(behind)} does not." if behind else ""
    told = trivial["both labels given, all ink marked as both digits"]["dice_all"]
    close = [title for title in order if titles[title] > told]
    rest = (
        f"{_join(close)} also scores higher than an answer that is given both labels and marks all ink as both."
        if close
        else "**Neither separates the digits well at this budget**: an answer that is given both labels and marks all "
        "ink as both, the last row, scores higher."
    )
    return (
        f"Over all masks {_join(order)} {'have' if len(order) > 1 else 'has'} a higher Dice coefficient than "
        f"*{BLIND}*.{missing} {rest}"
    )


def _join(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else str(last)


def memory() -> str:
    """Memory of a step with all votes and row by row, by the side of the image."""
    measured = json.loads(MEASURED.read_text())
    used = {(row["side"], row["path"]): row["bytes"] for row in measured["memory"]}
    lines = ["| image | votes of all layers | all votes stored | row by row |", "|---|--:|--:|--:|"]
    for side, votes in measured["votes_bytes"].items():
        paths = [used.get((int(side), path)) for path in ("all votes", "row by row")]
        cells = ["not measured" if path is None else f"{path / 1e9:.2f} GB" for path in paths]
        lines.append(f"| {side}x{side} | {votes / 1e9:.2f} GB | {' | '.join(cells)} |")
    return "\n".join(lines)
