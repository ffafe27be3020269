"""Benchmarks: plain and fused paths side by side, and the machine's limits."""

from capsnet.bench import convolution, inference, routing, routings, startup, step
from capsnet.bench.bench import BENCHES as BENCHES
from capsnet.bench.bench import Row as Row
from capsnet.bench.runner import Results as Results
from capsnet.bench.runner import run as run
from capsnet.registry import import_modules

import_modules(__name__, leave=("memory_process",))


__all__ = ["BENCHES", "Results", "Row", "convolution", "inference", "routing", "routings", "run", "startup", "step"]
