"""Where the processes of a run meet: a part of `torchrun`'s store to which only the present ones have written.

`torchrun --max-restarts` restarts processes with the store of those that failed. It still holds their addresses, and
a new process may try to connect to one of them. Every start therefore agrees on keys of its own.
"""

import json
import os
import secrets
import time
from datetime import timedelta

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from capsnet.errors import UserError

_POLL_SECONDS = 0.05


class MissingProcess(UserError):
    """Not all processes started in time."""


def meet(timeout: timedelta) -> tuple[Store, int, int]:
    """Meet the other processes, whose number and address are in the environment, as `torchrun` sets it.

    Args:
        timeout: how long to wait for them.

    Returns:
        A store of these processes alone, the number of this process, and the number of all.

    Raises:
        MissingProcess: they did not start in time.
    """
    store, rank, count = next(rendezvous("env://", timeout=timeout))
    prefix = fresh_prefix(store, rank, count, time.monotonic() + timeout.total_seconds())
    return PrefixStore(prefix, store), rank, count


def fresh_prefix(store: Store, rank: int, count: int, deadline: float) -> str:
    """A prefix of keys that all present processes know, and no earlier one has used.

    Each process writes a new word. Process 0 answers with all words that it reads, and with its own as the prefix; an
    answer that holds a process's new word is not an old one. Process 0 reads the words again until all processes have
    confirmed the prefix, since the first ones it reads may be old.

    Args:
        store: of all processes, present and earlier.
        rank: number of this process.
        count: number of processes.
        deadline: by `time.monotonic()`.

    Raises:
        MissingProcess: the deadline has passed.
    """
    own, others = secrets.token_hex(8), range(1, count)
    store.set(f"capsnet/word/{rank}", own)
    while time.monotonic() < deadline:
        if rank == 0:
            words = [own, *(_read(store, f"word/{other}") for other in others)]
            store.set("capsnet/answer", json.dumps(words))
            if all(_read(store, f"confirmed/{other}") == own for other in others):
                return own
        else:
            answer = json.loads(_read(store, "answer") or "[]")
            if len(answer) == count and answer[rank] == own:
                store.set(f"capsnet/confirmed/{rank}", str(answer[0]))
                return str(answer[0])
        time.sleep(_POLL_SECONDS)
    raise MissingProcess(
        f"not all {count} processes started in time (process {rank} on {os.uname().nodename} waited for them); start "
        "torchrun on every machine"
    )


def _read(store: Store, key: str) -> str | None:
    """The value of a key, or None if it was never written."""
    name = f"capsnet/{key}"
    return store.get(name).decode() if store.check([name]) else None
