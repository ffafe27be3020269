"""Description of the machine, and its limits: matrix product and copy, timed in the same run."""

import platform
import time
from datetime import UTC, datetime
from functools import partial
from typing import TypedDict

import torch

from capsnet._version import __version__
from capsnet.bench.measure import Work, milliseconds
from capsnet.kernels import native
from capsnet.training.device import find_commit, find_processor, resolve_precision

_SIDE, _COPIED = 2048, 2**28
# larger sizes on a GPU: it reaches its full clock, and launch overhead is negligible
_SIDE_GPU, _COPIED_GPU = 8192, 2**31


class Ceilings(TypedDict):
    """GFLOP/s and GB/s."""

    fp32_gflops: float
    bf16_gflops: float | None
    copy_gb_s: float


def find_ceilings(device: torch.device) -> Ceilings:
    """Time matrix products and a copy; keep the best of a few timings."""
    on_gpu = device.type == "cuda"
    side, copied = (_SIDE_GPU, _COPIED_GPU) if on_gpu else (_SIDE, _COPIED)
    rates: dict[torch.dtype, float | None] = {torch.bfloat16: None}
    in_hardware = resolve_precision("auto", device) == "bf16"
    for dtype in (torch.float32, torch.bfloat16) if in_hardware else (torch.float32,):
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        product = partial(torch.mm, a, b, out=torch.empty_like(a))
        rates[dtype] = round(2 * side**3 / _best(product, device) / 1e6, 1)
    source = torch.zeros(copied // 4, device=device)
    target = torch.empty_like(source)
    copy = round(2 * copied / _best(lambda: target.copy_(source), device) / 1e6, 1)
    fp32 = rates[torch.float32]
    assert fp32 is not None
    return {"fp32_gflops": fp32, "bf16_gflops": rates[torch.bfloat16], "copy_gb_s": copy}


def _best(work: Work, device: torch.device) -> float:
    times: list[float] = []
    deadline = time.perf_counter() + 1.5
    while len(times) < 3 or (len(times) < 30 and time.perf_counter() < deadline):
        times.append(milliseconds(work, device))
    return min(times)


def describe(device: torch.device) -> dict[str, object]:
    """Machine, versions and commit."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else find_processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        **({"c_compiler": native.describe()} if device.type == "cpu" else {}),
        "capsnet": __version__,
        "commit": find_commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def label(machine: dict[str, object]) -> str:
    """A short name of the machine, for file names: processor, threads and instruction set."""
    name = str(machine["device"])
    if not str(machine["device"]).startswith("NVIDIA"):
        name += f" {machine['threads']} threads {machine['instructions']}"
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
