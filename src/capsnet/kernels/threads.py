"""Work split over threads as a whole, each part in operations of one thread.

torch splits every operation by itself. An algorithm of hundreds of short operations then waits for its threads hundreds
of times, and each wait lasts until the operating system runs the slowest of them again: on processors that other
programs use too, this can take ten times as long as the work itself.
"""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")


def in_parts(count: int, work: Callable[[slice], T], *, at_least: int) -> list[T]:
    """Do work on parts of `count` images at the same time, one part for each of torch's threads.

    Args:
        count: number of images.
        work: does one part, in a thread in which torch uses no further ones.
        at_least: images that a part must have.

    Returns:
        What `work` returned for each part, in their order, which depends on `count` and the number of threads only.
    """
    threads = torch.get_num_threads()
    number = max(1, min(threads, count // at_least))
    if number == 1:
        return [work(slice(0, count))]
    edges = [count * k // number for k in range(number + 1)]
    parts = [slice(first, end) for first, end in itertools.pairwise(edges)]
    inference = torch.is_inference_mode_enabled()

    def alone(part: slice) -> T:
        # grad mode and inference mode are thread-local
        with torch.inference_mode() if inference else torch.no_grad():
            return work(part)

    # MKL has one number of threads for the whole process
    torch.set_num_threads(1)
    try:
        return list(_pool(os.getpid(), threads).map(alone, parts))
    finally:
        torch.set_num_threads(threads)


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """A pool of this process: after a fork its threads are gone."""
    return ThreadPoolExecutor(threads, "capsnet", initializer=torch.set_num_threads, initargs=(1,))
