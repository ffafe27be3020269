"""The convolution of the primary capsules, 94 % of the network's operations: PyTorch's and the fast algorithm."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from capsnet import kernels
from capsnet.bench.bench import BENCHES, Bench, Job
from capsnet.bench.measure import Work
from capsnet.kernels.strided_conv.op import strided_conv2d
from capsnet.training.device import resolve_precision


def make_paths(batch: int) -> dict[str, Work]:
    """Forward and backward pass of each path."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(batch, 256, 20, 20, generator=draw).relu().requires_grad_()
    weight = (0.01 * torch.randn(256, 256, 9, 9, generator=draw)).requires_grad_()

    def train(output: Tensor) -> None:
        torch.autograd.grad(output, (x, weight), torch.ones_like(output))

    def train_fast(mode: kernels.Mode) -> None:
        with kernels.use(mode):
            train(strided_conv2d(x, weight, None, [2, 2]))

    paths: dict[str, Work] = {
        "plain": lambda: train(F.conv2d(x, weight, stride=2)),
        "fast": lambda: train_fast("auto"),
        # as on a machine that has no compiler
        "fast without C": lambda: train_fast("torch"),
    }
    if resolve_precision("auto", torch.device("cpu")) == "bf16":
        paths["plain bf16"] = lambda: train(F.conv2d(x.bfloat16(), weight.bfloat16(), stride=2).float())
    return paths


def jobs(device: torch.device, quick: bool) -> Iterator[Job]:
    """A small and a large batch; on a GPU there is nothing to compare."""
    if device.type != "cpu":
        return
    for batch in (128,) if quick else (16, 128):
        yield Job({"batch": batch}, make_paths(batch), 6.0 * batch * 36 * 81 * 256 * 256)


BENCHES.add("convolution", Bench(jobs, "the primary capsules' 9x9 convolution, forward and backward", rounds=5))
