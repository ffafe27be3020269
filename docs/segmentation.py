"""The tables of docs/segmentation.md, from docs/segmentation.json, which benchmarks/segmentation.py writes."""

import json
from pathlib import Path

MARKS = "<!-- segmentation: made by docs/fill.py -->", "<!-- end of segmentation -->"
MEMORY = "<!-- segmentation memory: made by docs/fill.py -->", "<!-- end of segmentation memory -->"
MEASURED = Path(__file__).with_name("segmentation.json")


def table() -> str:
    """Dice, IoU and time of each model, mean and standard deviation over seeds, beside the trivial answer."""
    measured = json.loads(MEASURED.read_text())
    setting = measured["settings"]
    intro = (
        f"{setting['steps']} steps of {setting['batch']} pairs, {setting['side']}x{setting['side']} pixels, one-cycle "
        f"learning rate up to {setting['lr']:g}; tested on {setting['test_pairs']:,} pairs of test digits; mean ± "
        f"standard deviation over {setting['seeds']} seeds; torch {measured['machine']['torch']}, one CPU core:"
    )
    lines = [
        "| model | parameters | Dice | IoU | shared pixels found | images with a third digit | training |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    keys = ("dice", "iou", "shared_pixels_found", "images_with_absent_class")
    for name, row in measured["models"].items():
        values = " | ".join(f"{100 * row[key]['mean']:.1f} ± {100 * row[key]['std']:.1f} %" for key in keys)
        seconds = row["processor_seconds"]["mean"]
        lines.append(f"| `{name}` | {row['parameters']:,} | {values} | {seconds:,.0f} s |")
    trivial = measured["all_ink_as_every_digit"]
    cells = " | ".join(f"{100 * trivial[key]:.1f} %" for key in keys)
    lines.append(f"| *all ink marked as every digit* | 0 | {cells} | none |")
    rows = measured["models"]
    # runs before `dice_all` was recorded have the Dice of the two digits only
    key = "dice_all" if all("dice_all" in row for row in rows.values()) else "dice"
    ahead = [name for name, row in rows.items() if row[key]["mean"] > trivial[key]]
    return "\n".join([intro, "", *lines, "", _verdict(ahead)])


def _verdict(ahead: list[str]) -> str:
    """What the table allows to say; Dice and IoU are of the two digits present and do not count other masks."""
    if not ahead:
        return (
            "**Neither network has learned to tell the digits apart at this budget**: whoever marks all ink as each of "
            "the ten digits, as the last row does, scores higher than both. Dice and IoU are of the two digits present "
            "and do not count the masks of the other eight. The table is no evidence for or against capsules."
        )
    return f"Higher Dice than marking all ink as each of the ten digits: {', '.join(f'`{name}`' for name in ahead)}."


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
