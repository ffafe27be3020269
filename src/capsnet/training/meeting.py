"""Rendezvous of the processes of a run, under keys of `torchrun`'s store that only they have written.

`torchrun --max-restarts` restarts processes with the store of those that failed. It still holds their addresses, and
a new process might try to connect to one of them. Every start therefore agrees on new keys.
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
    """Meet the other processes; `torchrun` sets their number and address in the environment.

    Args:
        timeout: how long to wait for them.

    Returns:
        A store for these processes only, the number of this process, and the number of all.

    Raises:
        MissingProcess: they did not start in time.
    """
    store, rank, count = next(rendezvous("env://", timeout=timeout))
    prefix = fresh_prefix(store, rank, count, time.monotonic() + timeout.total_seconds())
    return PrefixStore(prefix, store), rank, count


def fresh_prefix(store: Store, rank: int, count: int, deadline: float) -> str:
    """Agree on a prefix of keys that no earlier process has used.

    Each process writes a random token. Process 0 publishes all tokens that it reads; its own token is the prefix. A
    process accepts the list if it contains its token: then the list is new. Process 0 repeats this until all processes
    have confirmed the prefix, since the first tokens it reads may be old.

    Args:
        store: of all processes, including earlier ones.
        rank: number of this process.
        count: number of processes.
        deadline: by `time.monotonic()`.

    Raises:
        MissingProcess: the deadline has passed.
    """
    own, others = secrets.token_hex(8), range(1, count)
    store.set(f"capsnet/token/{rank}", own)
    while time.monotonic() < deadline:
        if rank == 0:
            tokens = [own, *(_read(store, f"token/{other}") for other in others)]
            store.set("capsnet/answer", json.dumps(tokens))
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
    """The value of a key; None if it was never written."""
    name = f"capsnet/{key}"
    return store.get(name).decode() if store.check([name]) else None
