"""Time the primary convolution in every way that was tried, in one process, in turn.

python benchmarks/convolution.py [--batch 16 32 128] [--rounds 7] [--machine NAME]

The other ways are the ones that a reader would try first: windows copied side by side and one matrix product
(`unfold`), and the four phases of a stride of two as one plain convolution (`phases`).
"""

import argparse
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from capsnet.kernels.strided_conv.op import strided_conv2d

Way = Callable[[Tensor, Tensor], Tensor]


def plain(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, stride=2)


def fast(x: Tensor, weight: Tensor) -> Tensor:
    result: Tensor = strided_conv2d(x, weight, None, [2, 2])
    return result


def unfold(x: Tensor, weight: Tensor) -> Tensor:
    """Eight images at a time: all windows of a batch of 128 are 382 MB."""
    flat = weight.flatten(1)
    side = (x.shape[-1] - weight.shape[-1]) // 2 + 1
    return torch.cat([flat @ F.unfold(part, weight.shape[2:], stride=2) for part in x.split(8)]).unflatten(
        2, (side, side)
    )


def phases(x: Tensor, weight: Tensor) -> Tensor:
    window = -(-weight.shape[-1] // 2) * 2
    padded = F.pad(weight, (0, window - weight.shape[-1]) * 2)
    return F.conv2d(F.pixel_unshuffle(x, 2), F.pixel_unshuffle(padded, 2))


WAYS: dict[str, Way] = {"plain": plain, "fast": fast, "unfold": unfold, "phases": phases}


def one_round(way: Way, x: Tensor, weight: Tensor, times: dict[str, list[float]]) -> None:
    """Forward, then each gradient by itself, then both: milliseconds."""
    for name, wanted in (("input gradient", (x,)), ("weight gradient", (weight,)), ("backward", (x, weight))):
        for leaf in (x, weight):
            leaf.requires_grad_(any(leaf is other for other in wanted))
        start = time.perf_counter()
        output = way(x, weight)
        middle = time.perf_counter()
        torch.autograd.grad(output, wanted, torch.ones_like(output))
        times[name].append(1e3 * (time.perf_counter() - middle))
    times["forward"].append(1e3 * (middle - start))


def errors(way: Way) -> dict[str, float]:
    """Relative error, in the root of the mean square, against float64 on two images."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 256, 20, 20, generator=generator).relu()
    weight = torch.empty(256, 256, 9, 9).uniform_(-0.0118, 0.0118, generator=generator)
    direction = torch.randn(2, 256, 6, 6, generator=generator)
    results = []
    for dtype, how in ((torch.float64, plain), (torch.float32, way)):
        leaves = [tensor.to(dtype).requires_grad_() for tensor in (x, weight)]
        output = how(*leaves)
        results.append([output.detach(), *torch.autograd.grad(output, leaves, direction.to(dtype))])
    names = ("forward", "input gradient", "weight gradient")
    return {n: float((g - e).norm() / e.norm()) for n, e, g in zip(names, *results, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 32, 128])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--machine", default=f"{platform.machine()}-{torch.get_num_threads()}-threads")
    options = parser.parse_args()
    rows = []
    for batch in options.batch:
        x = torch.randn(batch, 256, 20, 20).relu()
        weight = torch.empty(256, 256, 9, 9).uniform_(-0.0118, 0.0118)
        times: dict[str, dict[str, list[float]]] = {
            name: {part: [] for part in ("forward", "input gradient", "weight gradient", "backward")}
            for name in options.ways
        }
        for _ in range(options.rounds + 1):
            for name in options.ways:
                one_round(WAYS[name], x, weight, times[name])
        for name, parts in times.items():
            row: dict[str, object] = {"batch": batch, "way": name}
            for part, taken in parts.items():
                row[part] = {"median_ms": round(statistics.median(taken[1:]), 1), "min_ms": round(min(taken[1:]), 1)}
            rows.append(row)
            print(json.dumps(row), flush=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    report = {
        "command": f"benchmarks/convolution.py --batch {' '.join(map(str, options.batch))} --rounds {options.rounds}",
        "machine": options.machine,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit,
        "relative_error": {name: errors(WAYS[name]) for name in options.ways},
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / f"convolution-{options.machine}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
