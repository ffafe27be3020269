"""The figures of docs/large-data.md, from docs/large-data.json: `benchmarks/larger_than_memory.py`."""

import json
from pathlib import Path
from statistics import median
from typing import Any

RECORD = Path(__file__).with_name("large-data.json")
PAGE = Path(__file__).with_name("large-data.md")
MARKS = "<!-- figures: made by docs/fill.py from docs/large-data.json -->", "<!-- end of figures -->"


def figures() -> str:
    """A run under a limit of memory, and throughput beside memory."""
    record: dict[str, Any] = json.loads(RECORD.read_text())
    limited, turns = record["limited"], record["turns"]
    lines = [
        "| training on | limit of memory | highest anonymous memory | images/s, without preparation | completed |",
        "|---|---|---|---|---|",
        f"| {record['photos']:,} photos, {record['gigabytes']:g} GB of pixels, from shards | "
        f"{limited['limit_gigabytes']:g} GB | {limited['peak_anonymous_gigabytes']:.2f} GB | "
        f"{limited['images_per_second']:.0f} | {_ending(limited)} |",
    ]
    # a campaign that was cut off has no comparison
    for kept in ("shards", "memory") if turns else ():
        parts = [turn[kept] for turn in turns]
        speeds = sorted(part["images_per_second"] for part in parts)
        peak = max(part["peak_anonymous_gigabytes"] for part in parts)
        lines.append(
            f"| {record['compared_gigabytes']:g} GB of pixels, from {kept}, {len(parts)} times, alternating | none | "
            f"{peak:.2f} GB | {median(speeds):.0f} ({speeds[0]:.0f} to {speeds[-1]:.0f}) | "
            f"{', '.join(dict.fromkeys(map(_ending, parts)))} |"
        )
    return "\n".join(
        [
            *lines,
            *_describe_loading(record["loading"]),
            "",
            f"{record['machine']}, {record['date']}, commit {record['commit']}; other programs kept the machine busy "
            f"(load {record['load']:.0f} at the end). `{record['command']}`",
        ]
    )


def _describe_loading(loading: dict[str, float] | None) -> list[str]:
    if loading is None:
        return []
    return [
        "",
        f"Without training, reading random batches of that data set reaches {loading['shards']:,.0f} images/s "
        f"from shards, read by two threads, and {loading['memory']:,.0f} images/s from memory.",
    ]


def _ending(part: dict[str, Any]) -> str:
    return "yes" if part["exit_status"] == 0 else f"no, exit status {part['exit_status']}"


def fill(text: str) -> str:
    """The page with its figures."""
    from results import put

    return put(text, MARKS, figures())
