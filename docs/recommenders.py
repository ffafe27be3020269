"""The table of docs/recommenders.md, from docs/recommenders.json, which examples/multi_interest.py writes."""

import json
from pathlib import Path
from statistics import mean, stdev

MARKS = "<!-- recommenders: made by docs/fill.py -->", "<!-- end of recommenders -->"
MEASURED = Path(__file__).with_name("recommenders.json")


def table() -> str:
    """Recall and share of topics of each network, mean and standard deviation over seeds."""
    measured = json.loads(MEASURED.read_text())
    setting = measured["setting"]
    first, seeds = setting["first"], setting["seeds"]
    intro = (
        f"{setting['users']:,} training users, {setting['epochs']} epochs; 1,000 other users for the test; "
        f"{setting['topics']} topics, {setting['items']} items, embeddings of {setting['dim']} numbers; mean ± "
        f"standard deviation over {seeds} seeds, each with data of its own; torch {setting['torch']}, CPU:"
    )
    lines = [f"| network | parameters | recall@{first} | user's topics among the first {first} |", "|---|--:|--:|--:|"]
    for name, rows in measured["networks"].items():
        values = " | ".join(_percent([row[key] for row in rows]) for key in ("recall", "topics"))
        lines.append(f"| {name} | {measured['parameters'][name]:,} | {values} |")
    return "\n".join([intro, "", *lines])


def _percent(values: list[float]) -> str:
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread} %"
