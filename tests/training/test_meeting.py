"""Processes that are started anew meet under keys that no earlier process has used."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch.distributed as dist

from capsnet.training.meeting import MissingProcess, fresh_prefix


def meet(store, count):
    with ThreadPoolExecutor(count) as pool:
        # the first process comes last: the others then read what an earlier one left
        waiting = [
            pool.submit(fresh_prefix, store, rank, count, time.monotonic() + 20) for rank in reversed(range(count))
        ]
        return {future.result() for future in waiting}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_agree_on_a_new_prefix_when_they_are_started_again(count):
    store = dist.HashStore()
    prefixes = [meet(store, count) for _ in range(5)]
    assert all(len(agreed) == 1 for agreed in prefixes)
    assert len(set.union(*prefixes)) == 5


def test_missing_process_is_named_when_time_is_up():
    with pytest.raises(MissingProcess, match="not all 2 processes started in time"):
        fresh_prefix(dist.HashStore(), 0, 2, time.monotonic() + 0.2)
