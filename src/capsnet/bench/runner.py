"""Run benchmarks; those of training in separate processes with the memory settings of `capsnet train`."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypedDict

import torch

from capsnet.bench.bench import BENCHES, Row, measure
from capsnet.bench.machine import Ceilings, describe, find_ceilings
from capsnet.errors import UserError
from capsnet.start import return_memory


class Results(TypedDict):
    """The results of one machine, as in `benchmarks/results`."""

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
        names: from `BENCHES`; none: all.
        device: to measure.
        quick: the paper's sizes only.
        rounds: timings of each path; 0: each benchmark's own number.
        show: called with each row when it is measured.

    Raises:
        subprocess.CalledProcessError: the process of a benchmark failed; the reason is on standard error.
    """
    ceilings, rows = find_ceilings(device), []
    for name in names or BENCHES.names():
        for row in _find_rows(name, device, ceilings, quick, rounds):
            rows.append(row)
            if show is not None:
                show(row, ceilings)
    return {"machine": describe(device), "ceilings": ceilings, "rows": rows}


def _find_rows(name: str, device: torch.device, ceilings: Ceilings, quick: bool, rounds: int) -> Iterator[Row]:
    bench = BENCHES.get(name)
    if bench.environments is not None:
        for instructions, variables in bench.environments().items():
            for row in _rows_in_process(name, device, ceilings, quick, rounds, variables):
                yield {**row, "case": {"instructions": instructions, **row["case"]}}
    else:
        yield from (_rows_in_process if bench.trains else _rows)(name, device, ceilings, quick, rounds)


def _rows(name: str, device: torch.device, ceilings: Ceilings, quick: bool, rounds: int) -> Iterator[Row]:
    bench = BENCHES.get(name)
    return (measure(name, job, device, ceilings, rounds or bench.rounds) for job in bench.jobs(device, quick))


def _rows_in_process(
    name: str,
    device: torch.device,
    ceilings: Ceilings,
    quick: bool,
    rounds: int,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Row]:
    program = "import sys; from capsnet.bench.runner import main; main(sys.argv[1])"
    request = json.dumps([name, str(device), ceilings, quick, rounds])
    command, environment = [sys.executable, "-c", program, request], {**os.environ, **variables}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
    if process.returncode < 0:
        raise UserError(f"the benchmark {name} was killed (signal {-process.returncode}); is there enough memory?")
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, f"the benchmark {name}")


def main(request: str) -> None:
    """Measure what the parent requests, and print one row per line."""
    # Ctrl-C ends it without a traceback; the parent reports it
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return_memory()
    name, device, ceilings, quick, rounds = json.loads(request)
    for row in _rows(name, torch.device(device), ceilings, quick, rounds):
        print(json.dumps(row), flush=True)
