"""Measure from how many samples on the fused dynamic routing wins on one thread of this machine, and keep the times.

    python benchmarks/few_samples.py && python docs/fill.py

It writes benchmarks/results/few-samples.json, of which docs/fill.py makes the table of the kernel's README. Times are
those of the processor, so that other programs count less; the two ways take turns, at the size of the paper's class
layer.
"""

import json
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from capsnet.bench.machine import describe
from capsnet.bench.measure import Work, interleave
from capsnet.bench.routing import PAPER, infer, make, train

RECORD = Path(__file__).parent / "results" / "few-samples.json"
BATCHES = (1, 2, 4, 8, 12, 16, 32)
ROUNDS = 15
PASSES = {"forward": infer, "forward and backward": train}


def measure(case: dict[str, int], rounds: int) -> list[dict[str, object]]:
    """A row forward, and one forward and backward."""
    device = torch.device("cpu")
    tensors = make(case, device)
    rows: list[dict[str, object]] = []
    for name, work in PASSES.items():
        works: dict[str, Work] = {path: partial(work, path, case, tensors) for path in ("plain", "fused")}
        times = interleave(works, rounds=rounds, device=device, clock=time.process_time)
        rows.append({"bench": "few-samples", "case": {**case, "pass": name}, "times": times})
    return rows


def main(batches: Sequence[int] = BATCHES, rounds: int = ROUNDS, record: Path = RECORD) -> None:
    """Measure every batch and write the record."""
    torch.set_num_threads(1)
    rows = [row for batch in batches for row in measure({**PAPER, "batch": batch}, rounds)]
    machine = {**describe(torch.device("cpu")), "rounds": rounds, "beside": f"load {os.getloadavg()[0]:.1f} at the end"}
    record.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
