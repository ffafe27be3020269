"""The table of few samples in the README of the fused routing, from what benchmarks/few_samples.py measured."""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "benchmarks" / "results" / "few-samples.json"
PAGE = ROOT / "src" / "capsnet" / "kernels" / "dynamic_routing" / "README.md"
MARKS = (
    "<!-- few samples: made by docs/fill.py from benchmarks/results/few-samples.json -->",
    "<!-- end of few samples -->",
)
HEAD = "| samples | forward, plain | fused | forward and backward, plain | fused |\n| --: | --: | --: | --: | --: |"


def table(record: dict[str, Any]) -> str:
    """A line for each number of samples, and where it was measured."""
    machine = record["machine"]
    lines: dict[int, list[float]] = {}
    for row in record["rows"]:
        lines.setdefault(row["case"]["batch"], []).extend(time["median"] for time in row["times"].values())
    text = [f"| {batch} | {' | '.join(f'{time:.1f}' for time in times)} |" for batch, times in lines.items()]
    threads = "one thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    where = (
        f"{machine['device']}, {machine['instructions']}, {threads}, {machine['date'][:10]}, commit "
        f"{machine['commit']}; medians of {machine['rounds']}; {machine['beside']}."
    )
    return "\n".join([HEAD, *text, "", where])
