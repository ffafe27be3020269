"""The table of speeds in README.md, from benchmarks/results and from what others publish of theirs."""

import json
from pathlib import Path

from capsnet.bench import Results, Row

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- speed: made by docs/fill.py from benchmarks -->", "<!-- end of speed -->"
HEAD = "| path | epoch of 60,000 | step of 128 | memory of a step |\n|---|---|---|---|"
PUBLISHED = "| implementation | its hardware | epoch of 60,000 |\n|---|---|---|"
NO_GPU = (
    "Only CPUs have been measured so far: **the CUDA path of this package is untested**. The times below are what "
    "other implementations publish for their own GPUs; they are not comparable with the times of a CPU above."
)
SOME_GPU = (
    "The times below are what other implementations publish for their own GPUs; compare them only with rows above that "
    "were measured on a GPU, and mind that the GPUs differ."
)
IMAGES, BATCH = 60_000, 128
NAMES = {
    "plain": "plain path (einsum, torch's convolution), fp32",
    "fused": "**capsnet**, fp32",
    "fused without C": "**capsnet** without a C compiler, fp32",
    "fused bf16": "**capsnet**, bf16",
    "fused tf32": "**capsnet**, tf32",
    "fused bf16 graph": "**capsnet**, bf16, CUDA graph",
    "fused bf16 compiled graph": "**capsnet**, bf16, compiled, CUDA graph",
}


def table(results: list[Results], published: list[dict[str, object]]) -> str:
    """Rows of this package on each machine measured, then a table of others, the fastest first.

    Args:
        results: of `capsnet bench`.
        published: seconds per epoch that others report.
    """
    lines = []
    for one in results:
        step = next((row for row in one["rows"] if row["bench"] == "step" and row["case"]["batch"] == BATCH), None)
        if step is not None:
            lines += [f"Measured on {_machine(one)}:", "", HEAD, *_of_machine(step), ""]
    gpu = any(str(one["machine"]["device"]).startswith("NVIDIA") for one in results)
    lines += [SOME_GPU if gpu else NO_GPU, "", PUBLISHED]
    for other in sorted(published, key=lambda entry: entry["seconds_per_epoch"]):  # type: ignore[arg-type,return-value]
        link = f"[{other['implementation']}](https://github.com/{other['repository']})"
        lines.append(f"| {link} | {other['hardware']} | {other['seconds_per_epoch']:g} s |")
    return "\n".join(lines)


def _machine(results: Results) -> str:
    machine = results["machine"]
    hardware = str(machine["device"])
    if not hardware.startswith("NVIDIA"):
        hardware += f", {machine['threads']} cores, {machine['instructions']}"
    return f"{hardware}, {str(machine['date'])[:10]}"


def _of_machine(step: Row) -> list[str]:
    lines = []
    for path, time in step["times"].items():
        memory = step["megabytes"][path]
        lines.append(_line(NAMES[path], time["median"], f"{memory:,.0f} MB", step["ratio"][path]))
    lines.append(
        _line(
            "*for comparison: only the multiplications of the plain path, at the highest fp32 speed of this machine*",
            step["limit"],
            "",
            0,
        )
    )
    return lines


def _line(name: str, milliseconds: float, memory: str, ratio: float) -> str:
    seconds = milliseconds / 1e3 / BATCH * IMAGES
    gain = f" ({ratio:.1f} x)" if ratio not in (0, 1) else ""
    epoch = f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"
    return f"| {name} | {epoch} s | {milliseconds:,.4g} ms{gain} | {memory} |"


def fill(text: str) -> str:
    """Put the table into a document that has its marks."""
    results = [json.loads(path.read_text()) for path in sorted((ROOT / "benchmarks" / "results").glob("*.json"))]
    published = json.loads((ROOT / "benchmarks" / "published.json").read_text())
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table(results, published)}\n{END}{after}"
