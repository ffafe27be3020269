"""Running benchmarks: those of training in processes of their own, which treat memory as `capsnet train` does."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypedDict

import torch

from capsnet.bench.bench import BENCHES, Row, measure
from capsnet.bench.machine import Ceilings, describe, find_ceilings
from capsnet.start import return_memory


class Results(TypedDict):
    """What `benchmarks/results` holds of one machine."""

    machine: dict[str, object]
    ceilings: Ceilings
    rows: list[Row]


def run(
    names: Sequence[str],
    device: torch.device,
    *,
    quick: bool = False,
    rounds: int = 0,
    show: Callable[[Row, Ceilings], None] | None = None,
) -> Results:
    """Run benchmarks.

    Args:
        names: of `BENCHES`; none: all.
        device: what is measured.
        quick: the paper's sizes only.
        rounds: how often each path is timed; 0: as each benchmark has it.
        show: is given each row when it is done.

    Raises:
        subprocess.CalledProcessError: the process of a benchmark failed; why is on standard error.
    """
    ceilings, rows = find_ceilings(device), []
    for name in names or BENCHES.names():
        find_rows = _rows_apart if BENCHES.get(name).trains else _rows
        for row in find_rows(name, device, ceilings, quick, rounds):
            rows.append(row)
            if show is not None:
                show(row, ceilings)
    return {"machine": describe(device), "ceilings": ceilings, "rows": rows}


def _rows(name: str, device: torch.device, ceilings: Ceilings, quick: bool, rounds: int) -> Iterator[Row]:
    bench = BENCHES.get(name)
    return (measure(name, job, device, ceilings, rounds or bench.rounds) for job in bench.jobs(device, quick))


def _rows_apart(name: str, device: torch.device, ceilings: Ceilings, quick: bool, rounds: int) -> Iterator[Row]:
    program = "import sys; from capsnet.bench.runner import main; main(sys.argv[1])"
    order = json.dumps([name, str(device), ceilings, quick, rounds])
    with subprocess.Popen([sys.executable, "-c", program, order], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, f"the benchmark {name}")


def main(order: str) -> None:
    """Measure what the parent asks for, and print each row on a line."""
    return_memory()
    name, device, ceilings, quick, rounds = json.loads(order)
    for row in _rows(name, torch.device(device), ceilings, quick, rounds):
        print(json.dumps(row), flush=True)
