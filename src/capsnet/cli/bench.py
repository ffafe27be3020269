"""`capsnet bench`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from capsnet.bench import BENCHES, Results, Row, run
from capsnet.bench.bench import fell_behind
from capsnet.bench.machine import Ceilings, describe, label
from capsnet.cli.console import print_json
from capsnet.cli.parse import parse
from capsnet.cli.streams import needing_reader
from capsnet.errors import UserError
from capsnet.runs.files import write_text
from capsnet.runs.typed import read_typed
from capsnet.training.device import resolve_device


@dataclass(frozen=True)
class Bench:
    """Measure plain and fused implementations on this machine, in turn, and the machine's own limits.

    Times are medians in milliseconds, with quartiles. "x" is the speed-up over the first path. "of limit" is the
    shortest possible time of the direct algorithm, from the machine's speed of matrix products and copies, divided by
    the measured time. Run nothing else meanwhile.

    Examples:
      capsnet bench
      capsnet bench step routing --quick --against benchmarks/results
    """

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """What to measure: convolution, growth, image-size, inference, instructions, routing, routings, startup, step.
    None: all."""
    quick: bool = False
    """Measure the paper's sizes only: a few minutes on a laptop."""
    rounds: int = 0
    """Timings of each path (0: each benchmark's own number)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device; auto: the GPU if there is one."""
    out: Path | None = None
    """Write the results to a .json file, or to a folder, where the file is named after the machine. Rows of this
    machine that are not measured again are kept."""
    against: Path | None = None
    """Earlier results, a file or a folder; exit status 1 if the speed-up of a path fell by more than 20 %."""
    json: bool = False
    """Print one JSON object."""


def main(args: list[str]) -> int:
    """Measure and print; exit status 1 if a path fell behind."""
    options = parse(Bench, args)
    for name in options.names:
        BENCHES.get(name)
    if options.rounds < 0:
        raise UserError(f"--rounds must be at least 0, got {options.rounds}")
    device = resolve_device(options.device)
    machine = label(describe(device))
    before = None if options.against is None else _read(options.against, machine)
    if before is not None and label(before["machine"]) != machine:
        raise UserError(f"--against {options.against} holds the results of another machine, {label(before['machine'])}")
    path = None if options.out is None else _find_file(options.out, machine)
    # read the file first: if it is invalid, fail before measuring
    earlier = [] if path is None else _find_rows(path, machine)
    table, described, rows = _Table(), describe(device), list[Row]()

    def keep(row: Row, ceilings: Ceilings) -> None:
        rows.append(row)
        if path is not None:
            # write after each measurement: if the program is stopped, no result is lost
            _write(path, {"machine": described, "ceilings": ceilings, "rows": rows}, earlier)
        if not options.json:
            table.row(row, ceilings)

    kept = options.out is not None or options.against is not None
    with needing_reader("not everything was measured" if kept else None):
        results = run(options.names, device, quick=options.quick, rounds=options.rounds, show=keep)
    if path is not None:
        # after a complete benchmark, drop its cases that no longer exist
        dropped = () if options.quick else options.names or BENCHES.names()
        _write(path, results, [row for row in earlier if row["bench"] not in dropped])
    behind = [] if before is None else _compare(results, before, options.against)
    if options.json:
        print_json({**results, "fell_behind": behind})
    else:
        for line in behind or (["no path fell behind"] if before else []):
            print(line)
        if path is not None:
            print(f"results: {path}")
    return 1 if behind else 0


def _write(path: Path, results: Results, earlier: list[Row]) -> None:
    """Write results, and the rows of earlier ones that were not measured again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    measured = {_key(row) for row in results["rows"]}
    kept = [row for row in earlier if _key(row) not in measured]
    rows = sorted([*kept, *results["rows"]], key=lambda row: row["bench"])
    write_text(path, json.dumps({**results, "rows": rows}, indent=1) + "\n")


def _find_file(path: Path, machine: str) -> Path:
    """The file itself, which ends in .json, or in a folder, which need not exist, the machine's file."""
    is_file = path.is_file() or (path.suffix == ".json" and not path.is_dir())
    return path if is_file else path / f"{machine}.json"


def _read(path: Path, machine: str) -> Results:
    file = _find_file(path, machine)
    if not file.is_file():
        raise UserError(f"{file}: no results of this machine; create them with capsnet bench --out {path}")
    try:
        return read_typed(file, Results)
    except UserError as fault:
        raise UserError(f"{fault}; it holds no results of capsnet bench") from None


def _find_rows(path: Path, machine: str) -> list[Row]:
    """The rows of earlier results of this machine, with the commit they belong to.

    Raises:
        UserError: the file holds something else, or results of another machine.
    """
    if not path.exists():
        return []
    before = _read(path, machine)
    if label(before["machine"]) != machine:
        raise UserError(f"{path} holds the results of another machine, {label(before['machine'])}; give another --out")
    commit = str(before["machine"]["commit"])
    return [{**row, "commit": row.get("commit", commit)} for row in before["rows"]]


def _compare(results: Results, before: Results, against: Path | None) -> list[str]:
    """A line for each path that fell behind.

    Raises:
        UserError: none of the earlier rows was measured again.
    """
    old = {_key(row): row for row in before["rows"]}
    if not any(_key(row) in old for row in results["rows"]):
        raise UserError(f"--against {against}: none of its rows was measured now; measure the same benchmarks")
    lines = []
    for row in results["rows"]:
        earlier = old.get(_key(row))
        for path in fell_behind(row, earlier) if earlier else []:
            assert earlier is not None
            now, then = row["ratio"][path], earlier["ratio"][path]
            lines.append(
                f"fell behind: {_key(row)}: {path} is {now:.2f} times as fast as the first path, before {then:.2f}"
            )
    return lines


def _key(row: Row) -> str:
    return " ".join([row["bench"], *(f"{name}={value}" for name, value in row["case"].items())])


class _Table:
    """Prints rows, with a heading for each benchmark."""

    def __init__(self) -> None:
        self.bench = ""

    def row(self, row: Row, ceilings: Ceilings) -> None:
        if not self.bench:
            half = ceilings["bf16_gflops"]
            print(
                f"this machine: matrix product {ceilings['fp32_gflops']:,.0f} GFLOP/s in fp32"
                + (f", {half:,.0f} in bf16" if half else "")
                + f"; copy {ceilings['copy_gb_s']:.0f} GB/s"
            )
        if row["bench"] != self.bench:
            self.bench = row["bench"]
            print(f"\n{self.bench}: {BENCHES.get(self.bench).summary}")
        print("  " + ", ".join(f"{name} {value}" for name, value in row["case"].items()))
        limits, memory = row.get("of_limit", {}), row.get("megabytes", {})
        for path, time in row["times"].items():
            line = f"    {path:30} {time['median']:10.2f} ms ({time['low']:.2f} to {time['high']:.2f})"
            line += f"  {row['ratio'][path]:6.2f} x"
            if path in limits:
                line += f"  {limits[path]:5.2f} of limit"
            if path in memory:
                line += f"  {memory[path]:7.0f} MB"
            if path in memory and "votes" in row:
                line += f", {memory[path] / row['votes']:.1f} x the votes"
            print(line, flush=True)
