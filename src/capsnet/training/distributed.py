"""Data-parallel training: several processes share each batch. PyTorch's DistributedDataParallel averages the gradients.

Li, Zhao, Varma et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB 2020.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from capsnet.errors import UserError
from capsnet.routing.gaussian import BatchNorm
from capsnet.training.meeting import meet

# how long a process waits for another one: process 0 tests the network on all images
_TIMEOUT = timedelta(hours=2)
# how long the processes wait for each other at the start
_MEETING = timedelta(minutes=10)


class ProcessLost(UserError):
    """Another process of the run ended, so this one cannot continue."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run, as `torchrun` starts them; without `torchrun`, only this one.

    Args:
        rank: number of this process; process 0 writes the run's folder, validates and tests.
        count: number of processes on all machines.
        local_rank: number of this process on its machine, and of its GPU.
        control: process group for decisions, on the CPU; None: there is one process.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    control: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run's folder."""
        return self.rank == 0

    def share(self, size: int) -> slice:
        """The positions of a batch that this process computes; the shares of all processes make up the batch, in order.

        Args:
            size: images in the whole batch.
        """
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def wrap(self, module: nn.Module, *, unused: bool = False) -> nn.Module:
        """Wrap a module so that its backward pass averages the gradients over the processes.

        Args:
            module: on this process's device.
            unused: some of its parameters may get no gradient.
        """
        if self.control is None:
            return module
        with naming_lost_processes():
            return DistributedDataParallel(module, find_unused_parameters=unused)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over the processes, in place."""
        if self.control is not None:
            with naming_lost_processes():
                dist.all_reduce(tensor)
        return tensor

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether any process has set it."""
        if self.control is None:
            return list(flags)
        votes = torch.tensor(flags, dtype=torch.uint8)
        with naming_lost_processes():
            dist.all_reduce(votes, dist.ReduceOp.MAX, group=self.control)
        return [bool(vote) for vote in votes.tolist()]

    def share_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Broadcast numbers from the first process."""
        if self.control is None:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.float64)
        with naming_lost_processes():
            dist.broadcast(tensor, 0, group=self.control)
        return [float(number) for number in tensor.tolist()]

    def share_text(self, text: str) -> str:
        """Broadcast text from the first process."""
        if self.control is None:
            return text
        encoded = text.encode()
        (length,) = self.share_numbers([len(encoded)])
        tensor = torch.zeros(int(length), dtype=torch.uint8)
        if self.is_first:
            tensor = torch.tensor(list(encoded), dtype=torch.uint8)
        with naming_lost_processes():
            dist.broadcast(tensor, 0, group=self.control)
        return bytes(tensor.tolist()).decode()

    def wait(self) -> None:
        """Wait for all processes."""
        self.any([False])

    @contextlib.contextmanager
    def first_of_machine(self) -> Iterator[None]:
        """Run the block first in one process of each machine, for instance to download data; then in the others."""
        if self.local_rank:
            self.wait()
        yield
        if not self.local_rank:
            self.wait()


def is_first_process() -> bool:
    """Whether this process prints and writes, of those that `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"


def was_restarted() -> bool:
    """Whether `torchrun --max-restarts` restarted this process after a failure."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


@contextlib.contextmanager
def join_processes(device: torch.device) -> Iterator[Processes]:
    """Join the other processes of the run, if `torchrun` started several.

    Args:
        device: of each process; if a GPU, number `LOCAL_RANK`.

    Raises:
        UserError: fewer GPUs than processes on this machine.
        ProcessLost: another process ended during the run.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    # keep the process group of a program that created its own
    if count == 1 and not dist.is_initialized():
        yield Processes()
        return
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise UserError(
                f"each process needs its own GPU: process {local_rank} of this machine has none, there are "
                f"{torch.cuda.device_count()}; lower --nproc-per-node, or use device cpu"
            )
        torch.cuda.set_device(local_rank)
    has_group = dist.is_initialized()
    if not has_group:
        store, rank, count = meet(_MEETING)
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=_TIMEOUT)
    try:
        control = dist.new_group(backend="gloo", timeout=_TIMEOUT)
        yield Processes(dist.get_rank(), dist.get_world_size(), local_rank, control)
    finally:
        if not has_group:
            dist.destroy_process_group()


@contextlib.contextmanager
def naming_lost_processes() -> Iterator[None]:
    """Replace the communication errors after a process has ended by one clear line.

    Raises:
        ProcessLost: instead of the library's own error.
    """
    try:
        yield
    except dist.DistError as fault:
        raise ProcessLost(_LOST) from fault
    except RuntimeError as fault:
        if not any(text in str(fault) for text in _NETWORK):
            raise
        raise ProcessLost(_LOST) from fault


_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, BatchNorm)


def describe_batch_norm(model: nn.Module, processes: Processes, accumulate: int) -> list[str]:
    """A note for the user if batch normalisation makes a step differ from one on the whole batch."""
    count = processes.count * accumulate
    if count == 1 or not any(isinstance(module, _BATCH_NORMS) for module in model.modules()):
        return []
    return [
        f"batch normalisation uses the statistics of each of the {count} parts of a batch: training differs from that "
        "of one process on whole batches"
    ]


_LOST = "another process of this run has ended, see its message; the last checkpoint is intact"
# gloo raises plain runtime errors
_NETWORK = ("gloo", "Connection closed by peer", "Connection reset by peer", "NCCL", "Broken pipe")
