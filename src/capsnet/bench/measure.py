"""Times that can be compared: paths in turn, in one process, as medians with quartiles."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypedDict

import torch

Work = Callable[[], object]

# paths that take turns for so long are compared well enough
PATIENCE = 60.0


class Spread(TypedDict):
    """Milliseconds: median, and the quartiles around it."""

    median: float
    low: float
    high: float


def interleave(works: Mapping[str, Work], *, rounds: int, device: torch.device) -> dict[str, Spread]:
    """Time several pieces of work in turn, so that whatever else the machine does falls on all of them alike.

    Args:
        works: what to do, by name.
        rounds: how often each is timed, after one round that is not; fewer, but three at least, once a minute is over.
        device: what is waited for.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    began = time.perf_counter()
    for count in range(rounds + 1):
        if count > 3 and time.perf_counter() - began > PATIENCE:
            break
        for name, work in works.items():
            spent = milliseconds(work, device)
            # the first round pays for new memory, compilation and choices
            if count:
                taken[name].append(spent)
    return {name: spread(times) for name, times in taken.items()}


def milliseconds(work: Work, device: torch.device) -> float:
    """Time of one piece of work, device waited for."""
    wait(device)
    start = time.perf_counter()
    work()
    wait(device)
    return 1e3 * (time.perf_counter() - start)


def wait(device: torch.device) -> None:
    """Let a GPU finish; on a CPU nothing is pending."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def spread(times: list[float]) -> Spread:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(times, n=4) if len(times) > 1 else times * 3
    return {"median": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}
