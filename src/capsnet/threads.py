"""Work split over threads as a whole, each part in operations of one thread.

torch splits every operation by itself. An algorithm of hundreds of short operations then waits for its threads hundreds
of times, and each wait lasts until the operating system runs the slowest of them again: on processors that other
programs use too, this can take ten times as long as the work itself.
"""

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import torch

T = TypeVar("T")

# whether a thread works on a part
_current = threading.local()


def in_parts(count: int, work: Callable[[slice], T], *, at_least: int) -> list[T]:
    """Do work on parts of `count` images at the same time, one part for each of torch's threads.

    Args:
        count: number of images.
        work: does one part. Of several parts, each is in a thread in which torch uses no further ones; a single part
            is in this thread, and may use all of torch's.
        at_least: images that a part must have.

    Returns:
        What `work` returned for each part, in their order, which depends on `count` and the number of threads only.
    """
    threads = torch.get_num_threads()
    number = max(1, min(threads, count // at_least))
    if number == 1:
        with _marked():
            return [work(slice(0, count))]
    inference = torch.is_inference_mode_enabled()

    def alone(part: slice) -> T:
        # grad mode and inference mode are thread-local
        with torch.inference_mode() if inference else torch.no_grad(), _marked():
            return work(part)

    # MKL has one number of threads for the whole process
    with one_thread():
        return list(_pool(os.getpid(), threads).map(alone, split_evenly(count, number)))


def in_pieces(count: int, number: int, work: Callable[[slice], T], *, at_least: int = 1) -> list[T]:
    """Do work on pieces of `count` images, whatever the number of threads: each has some of the pieces.

    Args:
        count: number of images.
        number: of pieces, at most.
        work: does one piece; torch's threads in it are as in `in_parts`.
        at_least: images that a piece must have.

    Returns:
        What `work` returned for each piece, in their order.
    """
    pieces = split_evenly(count, max(1, min(number, count // at_least)))
    parts = in_parts(len(pieces), lambda part: [work(piece) for piece in pieces[part]], at_least=1)
    return list(itertools.chain.from_iterable(parts))


def split_evenly(count: int, number: int) -> list[slice]:
    """The slices that split `count` images into a number of pieces, whose sizes differ by one at most."""
    edges = [count * k // number for k in range(number + 1)]
    return [slice(first, end) for first, end in itertools.pairwise(edges)]


def is_in_part() -> bool:
    """Whether this code runs inside the work of `in_parts` or `in_pieces`."""
    return getattr(_current, "depth", 0) > 0


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _marked() -> Iterator[None]:
    _current.depth = getattr(_current, "depth", 0) + 1
    try:
        yield
    finally:
        _current.depth -= 1


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """A pool of this process: after a fork its threads are gone."""
    return ThreadPoolExecutor(threads, "capsnet", initializer=torch.set_num_threads, initargs=(1,))
