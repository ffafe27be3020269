"""The same work under each instruction set of this processor: which path gains where."""

from collections.abc import Iterator, Mapping
from functools import partial

import torch

from capsnet.bench import convolution, routing, step
from capsnet.bench.bench import BENCHES, Bench, Job
from capsnet.bench.measure import Work

# each includes those above it
_LIMITS = {
    "AVX2": ("avx2", "AVX2", "AVX2"),
    "AVX-512": ("avx512", "AVX512_CORE", "AVX512"),
    "AVX-512 and bfloat16": ("avx512", "AVX512_CORE_BF16", "AVX512"),
    "AMX": ("avx512", "AVX512_CORE_AMX", "AVX512"),
}
_FEATURES = {"AVX2": "avx2", "AVX-512": "avx512_bw", "AVX-512 and bfloat16": "avx512_bf16", "AMX": "amx_bf16"}
_VARIABLES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")


def environments() -> Mapping[str, Mapping[str, str]]:
    """The instruction sets of this processor, each with the variables that limit PyTorch's libraries to it."""
    features = torch.cpu.get_capabilities()
    return {
        name: dict(zip(_VARIABLES, limits, strict=True))
        for name, limits in _LIMITS.items()
        if features.get(_FEATURES[name])
    }


def jobs(device: torch.device, quick: bool) -> Iterator[Job]:
    """Convolution, routing and a whole step; on a GPU there is nothing to compare."""
    if device.type != "cpu":
        return
    for batch in (128,) if quick else (16, 128):
        sizes = {**routing.PAPER, "batch": batch}
        tensors = routing.make(sizes, device)
        parts: dict[str, dict[str, Work]] = {
            "convolution": convolution.make_paths(batch),
            "routing": {path: partial(routing.train, path, sizes, tensors) for path in routing.PATHS},
            "step": step.make_paths(device, batch, 28),
        }
        for part, works in parts.items():
            yield Job({"part": part, "batch": batch}, works)


BENCHES.add(
    "instructions",
    Bench(jobs, "which path gains with which instructions of this processor", rounds=7, environments=environments),
)
