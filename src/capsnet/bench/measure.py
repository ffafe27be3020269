"""Comparable timings: paths interleaved in one process, as medians with quartiles."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import TypedDict

import torch

Work = Callable[[], object]
Clock = Callable[[], float]

# seconds after which a comparison may end early
PATIENCE = 60.0


class Spread(TypedDict):
    """Milliseconds: median, and the quartiles around it."""

    median: float
    low: float
    high: float


def interleave(
    works: Mapping[str, Work], *, rounds: int, device: torch.device, clock: Clock = time.perf_counter
) -> dict[str, Spread]:
    """Time several pieces of work in turn, so that other load on the machine affects all of them alike.

    Args:
        works: functions to time, by name.
        rounds: timings of each, after one warm-up round; fewer, but at least three, once a minute has passed.
        device: to synchronise.
        clock: gives seconds; with `time.process_time` those of the processor, so that other programs count less.
    """
    timings: dict[str, list[float]] = {name: [] for name in works}
    start = time.perf_counter()
    for count in range(rounds + 1):
        if count > 3 and time.perf_counter() - start > PATIENCE:
            break
        for name, work in works.items():
            duration = milliseconds(work, device, clock)
            # the first round includes memory allocation, compilation and kernel selection
            if count:
                timings[name].append(duration)
    return {name: spread(times) for name, times in timings.items()}


def milliseconds(work: Work, device: torch.device, clock: Clock = time.perf_counter) -> float:
    """Time of one piece of work, with synchronisation."""
    wait(device)
    start = clock()
    work()
    wait(device)
    return 1e3 * (clock() - start)


def wait(device: torch.device) -> None:
    """Synchronise a GPU; on a CPU nothing is pending."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def spread(times: list[float]) -> Spread:
    """Median and quartiles, which lie within the times."""
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
    return {"median": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}
