"""A benchmark, and the measurement of one of its cases."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import torch

from capsnet.bench.machine import Ceilings
from capsnet.bench.measure import Spread, Work, interleave
from capsnet.registry import Registry

Case = Mapping[str, int | str]


class Row(TypedDict):
    """One case of one benchmark.

    `times` are milliseconds of each path; `ratio` is the speed-up of each path over the first one. `limit` is the
    shortest possible time of the direct algorithm in float32 on this machine, from its speed of matrix products and
    copies. `of_limit` is `limit` divided by the measured time: more than 1 means fewer operations than the direct
    algorithm has, or only faster products, in bf16 or tf32. `megabytes` is the
    additional memory at the peak, `votes` the size of the votes alone. `commit` is set if it differs from that of the
    results.
    """

    bench: str
    case: dict[str, int | str]
    times: dict[str, Spread]
    ratio: dict[str, float]
    limit: NotRequired[float]
    of_limit: NotRequired[dict[str, float]]
    megabytes: NotRequired[dict[str, float]]
    votes: NotRequired[float]
    commit: NotRequired[str]


@dataclass(frozen=True)
class Job:
    """One case, ready to measure.

    Args:
        case: its sizes.
        works: one step of each path; the first is the baseline.
        operations: floating-point operations of the direct algorithm; 0 for no limit.
        moved: bytes that any algorithm must read or write at least once.
        memory: measures the additional memory of a path at its peak, in megabytes.
        votes: megabytes of the votes; 0 to omit them.
    """

    case: Case
    works: Mapping[str, Work]
    operations: float = 0.0
    moved: float = 0.0
    memory: Callable[[str], float] | None = None
    votes: float = 0.0


@dataclass(frozen=True)
class Bench:
    """A benchmark.

    Args:
        jobs: `jobs(device, quick)` yields the cases one at a time, fewer if `quick`.
        summary: one line.
        rounds: timings of each path.
        trains: measure in a separate process with the memory settings of `capsnet train`.
        environments: names, each with environment variables; the cases are measured under each, in a process of its
            own, and their rows have the name as `instructions`.
    """

    jobs: Callable[[torch.device, bool], Iterator[Job]]
    summary: str
    rounds: int = 9
    trains: bool = False
    environments: Callable[[], Mapping[str, Mapping[str, str]]] | None = None


BENCHES: Registry[Bench] = Registry("benchmark", "capsnet.benches")


def measure(name: str, job: Job, device: torch.device, ceilings: Ceilings, rounds: int) -> Row:
    """Measure one case."""
    times = interleave(job.works, rounds=rounds, device=device)
    # times are rounded to a microsecond: a path that takes less would divide by zero
    medians = {path: max(spread["median"], 0.001) for path, spread in times.items()}
    first = next(iter(medians.values()))
    ratio = {path: round(first / median, 2) for path, median in medians.items()}
    row: Row = {"bench": name, "case": dict(job.case), "times": times, "ratio": ratio}
    if job.operations:
        row["limit"] = round(limit(job, ceilings), 3)
        row["of_limit"] = {path: round(limit(job, ceilings) / median, 2) for path, median in medians.items()}
    if job.memory is not None:
        row["megabytes"] = {path: round(job.memory(path), 1) for path in job.works}
    if job.votes:
        row["votes"] = round(job.votes, 1)
    return row


def limit(job: Job, ceilings: Ceilings) -> float:
    """Shortest possible time for a job on this machine, in milliseconds, in float32."""
    return max(job.operations / ceilings["fp32_gflops"], job.moved / ceilings["copy_gb_s"]) / 1e6


def fell_behind(row: Row, before: Row, *, by: float = 0.2) -> list[str]:
    """Paths whose speed-up over the first one fell by more than a share."""
    return [
        path for path, old in before["ratio"].items() if path in row["ratio"] and row["ratio"][path] < (1 - by) * old
    ]
