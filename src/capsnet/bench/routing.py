"""Dynamic routing from children and matrices to parents: the plain path, which stores the votes, and the fused path."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from capsnet import kernels
from capsnet.bench.bench import BENCHES, Bench, Job
from capsnet.bench.memory import added_megabytes
from capsnet.capsules import RoutingOutput
from capsnet.functional import dense_votes
from capsnet.kernels.dynamic_routing import dynamic_routing as kernel
from capsnet.routing import dynamic_routing

PAPER = {"batch": 128, "children": 1152, "child dim": 8, "parents": 10, "parent dim": 16, "iterations": 3}
GROWTH = {
    "batch": (1, 16, 32, 128, 512, 1024),
    "children": (32, 288, 1152, 4608),
    "parents": (10, 30, 100),
    "iterations": (1, 2, 3, 5, 10),
}


def plain(poses: Tensor, weight: Tensor, iterations: int) -> RoutingOutput:
    """Votes, then Procedure 1."""
    return dynamic_routing(dense_votes(poses, weight), iterations)


def fused(poses: Tensor, weight: Tensor, iterations: int) -> RoutingOutput:
    """The kernel."""
    return kernel(poses, weight, iterations)


PATHS: Mapping[str, tuple[Callable[[Tensor, Tensor, int], RoutingOutput], kernels.Mode]] = {
    "plain": (plain, "plain"),
    "fused": (fused, "auto"),
    # as on a machine that has no compiler
    "fused without C": (fused, "torch"),
}


def make(case: dict[str, int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Draw children, matrices and the gradient with respect to the parents."""
    b, i, c, j, d, _ = case.values()
    draw = torch.Generator().manual_seed(0)
    poses = 0.3 * torch.randn(b, i, c, generator=draw)
    weight = 0.1 * torch.randn(i, c, j, d, generator=draw)
    gradient = torch.randn(b, j, d, generator=draw)
    return poses.to(device).requires_grad_(), weight.to(device).requires_grad_(), gradient.to(device)


def train(path: str, case: dict[str, int], tensors: tuple[Tensor, Tensor, Tensor]) -> None:
    """Forward and backward."""
    (poses, weight, gradient), (route, mode) = tensors, PATHS[path]
    with kernels.use(mode):
        torch.autograd.grad(route(poses, weight, case["iterations"]).poses, (poses, weight), gradient)


@torch.no_grad()
def infer(path: str, case: dict[str, int], tensors: tuple[Tensor, Tensor, Tensor]) -> None:
    """Forward only."""
    route, mode = PATHS[path]
    with kernels.use(mode):
        route(tensors[0], tensors[1], case["iterations"])


def _job(case: dict[str, int], device: torch.device, *, backward: bool, memory: bool = False) -> Job:
    tensors, function = make(case, device), train if backward else infer
    b, i, c, j, d, r = case.values()
    # votes, r weighted sums and r - 1 agreements; each has two derivatives of the same cost
    operations = 2.0 * b * i * j * d * (c + 2 * r - 1) * (3 if backward else 1)
    moved = 4.0 * (b * i * c + i * c * j * d + b * j * d) * (2 if backward else 1)
    return Job(
        {**case, "pass": "forward and backward" if backward else "forward"},
        {
            path: partial(function, path, case, tensors)
            for path, (_, mode) in PATHS.items()
            if device.type == "cpu" or mode != "torch"
        },
        operations,
        moved,
        (lambda path: added_megabytes("routing", path, device, *case.values())) if memory else None,
    )


def jobs(device: torch.device, quick: bool) -> Iterator[Job]:
    """The paper's size: forward, and forward with backward."""
    yield _job(PAPER, device, backward=False)
    yield _job(PAPER, device, backward=True, memory=True)
    if not quick:
        yield _job({**PAPER, "batch": 1024}, device, backward=True)


def growth(device: torch.device, quick: bool) -> Iterator[Job]:
    """Vary one size at a time, with the others as in the paper (batch 16 when children or parents vary)."""
    for name, sizes in GROWTH.items():
        for size in itertools.compress(sizes, [not quick or size == sizes[-1] for size in sizes]):
            smaller = {"batch": 16} if name in ("children", "parents") else {}
            yield _job({**PAPER, **smaller, name: size}, device, backward=True)


BENCHES.add("routing", Bench(jobs, "dynamic routing at the paper's size: time and memory"))
BENCHES.add("growth", Bench(growth, "dynamic routing as batch, children, parents and iterations grow", rounds=3))
