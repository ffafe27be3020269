"""Plain and fused dynamic routing side by side: forward, forward and backward, peak memory.

    python benchmarks/routing.py [--quick] [--device cpu|cuda]

The two run in turns in one process; times are medians with the quartiles. A matrix product and a copy, timed in the
same run, are the machine's own ceilings. Peak memory is what each path adds in a process of its own.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from capsnet.functional import dense_votes
from capsnet.kernels.dynamic_routing import dynamic_routing as fused
from capsnet.routing import dynamic_routing

SIZES = [  # b, i, c, j, d, iterations
    (128, 1152, 8, 10, 16, 3),
    (128, 1152, 8, 10, 16, 1),
    (128, 1152, 8, 10, 16, 5),
    (16, 1152, 8, 10, 16, 3),
    (32, 1152, 8, 10, 16, 3),
    (512, 1152, 8, 10, 16, 3),
    (128, 32, 8, 10, 16, 3),
    (128, 288, 8, 10, 16, 3),
    (128, 4608, 8, 10, 16, 3),
    (128, 288, 8, 100, 16, 3),
    (128, 288, 16, 10, 16, 3),
]


def plain(poses: torch.Tensor, weight: torch.Tensor, iterations: int) -> torch.Tensor:
    return dynamic_routing(dense_votes(poses, weight), iterations).poses


def kernel(poses: torch.Tensor, weight: torch.Tensor, iterations: int) -> torch.Tensor:
    return fused(poses, weight, iterations).poses


PATHS = {"plain": plain, "fused": kernel}


def inputs(size: tuple[int, ...], device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    b, i, c, j, d, _ = size
    draw = torch.Generator().manual_seed(0)
    poses = 0.3 * torch.randn(b, i, c, generator=draw)
    weight = 0.1 * torch.randn(i, c, j, d, generator=draw)
    towards = torch.randn(b, j, d, generator=draw)
    return poses.to(device).requires_grad_(), weight.to(device).requires_grad_(), towards.to(device)


def step(path: str, size: tuple[int, ...], tensors: tuple[torch.Tensor, ...]) -> None:
    poses, weight, towards = tensors
    torch.autograd.grad(PATHS[path](poses, weight, size[-1]), (poses, weight), towards)


def milliseconds(work: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start)


def spread(times: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(times, n=4)
    return {"median": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}


def times(size: tuple[int, ...], device: str, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    tensors = inputs(size, device)
    taken: dict[str, dict[str, list[float]]] = {path: {"forward": [], "both": []} for path in PATHS}
    for count in range(rounds + 2):
        for path, own in taken.items():
            with torch.no_grad():
                forward = milliseconds(lambda path=path: PATHS[path](*tensors[:2], size[-1]), device)
            both = milliseconds(lambda path=path: step(path, size, tensors), device)
            if count >= 2:
                own["forward"].append(forward)
                own["both"].append(both)
    return {path: {what: spread(values) for what, values in own.items()} for path, own in taken.items()}


def peak_megabytes(path: str, size: tuple[int, ...], device: str) -> float:
    """Measure what a training step adds to the process, in a process of its own."""
    command = [sys.executable, __file__, "--memory", path, "--device", device, "--size", *map(str, size)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def added_megabytes(path: str, size: tuple[int, ...], device: str) -> float:
    tiny = (16, 8, 2, 2, 4, 3)
    step(path, tiny, inputs(tiny, device))
    tensors = inputs(size, device)
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step(path, size, tensors)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = resident_peak()
    step(path, size, tensors)
    return resident_peak() - before


def resident_peak() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        # not ru_maxrss, which on Linux begins with the parent's
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def ceilings(device: str) -> dict[str, float]:
    a, b = torch.randn(2048, 2048, device=device), torch.randn(2048, 2048, device=device)
    source = torch.randn(2**25, device=device)
    target = torch.empty_like(source)
    product = min(milliseconds(lambda: a @ b, device) for _ in range(7))
    copy = min(milliseconds(lambda: target.copy_(source), device) for _ in range(7))
    return {"matrix_product_gflops": round(2 * 2048**3 / product / 1e6, 1), "copy_gb_s": round(2**28 / copy / 1e6, 1)}


def machine(device: str) -> dict[str, object]:
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    return {
        "device": name,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": git.stdout.strip() or None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the paper's size only, 5 rounds")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--memory", choices=list(PATHS), help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(added_megabytes(options.memory, tuple(options.size), options.device))
        return
    rows = []
    for size in SIZES[:1] if options.quick else SIZES:
        row: dict[str, object] = dict(zip(["b", "i", "c", "j", "d", "iterations"], size, strict=True))
        taken = times(size, options.device, 5 if options.quick else 11)
        for what in ("forward", "both"):
            row[f"{what}_ratio"] = round(taken["plain"][what]["median"] / taken["fused"][what]["median"], 2)
        memory = {path: round(peak_megabytes(path, size, options.device), 1) for path in PATHS}
        row |= {"milliseconds": taken, "peak_megabytes": memory}
        rows.append(row)
        print(json.dumps(row))
    result = {"machine": machine(options.device), "ceilings": ceilings(options.device), "rows": rows}
    label = torch.cuda.get_device_name().replace(" ", "-") if options.device == "cuda" else platform.machine()
    path = Path(__file__).parent / "results" / f"routing-{label.lower()}-{options.device}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
