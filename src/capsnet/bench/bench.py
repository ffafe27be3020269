"""What a benchmark is, and how one case of it is measured."""

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

    `times` are milliseconds of each path, the first of which is the one that `ratio` compares with: how many times as
    fast each of the others is. `limit` is the least time that this machine could take for the direct algorithm, by its
    matrix product or its copy, and `of_limit` the share of its time that a path would need at that rate: above 1 where
    it has fewer operations to do than the direct algorithm. `megabytes` is memory added at the peak, and `votes` what
    the votes alone would take. `commit` is there where it is another than that of the results.
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
    """One case, ready to be measured.

    Args:
        case: its sizes.
        works: one step of each path; the first is the one to compare with.
        operations: floating-point operations of the direct algorithm; 0 for no limit.
        moved: bytes that any algorithm must read and write once.
        memory: measures what a path adds at its peak, in megabytes.
        votes: megabytes of the votes; 0 where they are no yardstick.
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
        jobs: gives its cases, one at a time, fewer where it is told to be quick.
        summary: one line.
        rounds: how often each path is timed.
        trains: what `capsnet train` does is measured, in a process that treats memory as it does.
    """

    jobs: Callable[[torch.device, bool], Iterator[Job]]
    summary: str
    rounds: int = 9
    trains: bool = False


BENCHES: Registry[Bench] = Registry("benchmark", "capsnet.benches")


def measure(name: str, job: Job, device: torch.device, ceilings: Ceilings, rounds: int) -> Row:
    """Measure one case."""
    times = interleave(job.works, rounds=rounds, device=device)
    medians = {path: one["median"] for path, one in times.items()}
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
    """The least milliseconds for a job on this machine, in float32."""
    return max(job.operations / ceilings["fp32_gflops"], job.moved / ceilings["copy_gb_s"]) / 1e6


def fell_behind(row: Row, before: Row, *, by: float = 0.2) -> list[str]:
    """Paths that are slower against the first one than they were, by more than a share."""
    return [
        path for path, old in before["ratio"].items() if path in row["ratio"] and row["ratio"][path] < (1 - by) * old
    ]
