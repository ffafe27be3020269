"""Profile a training step of the paper's network: time by operator, launches, and the whole step.

python benchmarks/profile_step.py cuda 128 profile.json
"""

import json
import sys
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from capsnet import RunConfig
from capsnet.bench.step import make_data
from capsnet.data.inputs import Inputs
from capsnet.data.transforms import Shift
from capsnet.models import create_model
from capsnet.precision import use_precision
from capsnet.training.batches import Batches
from capsnet.training.device import place_model, resolve_precision
from capsnet.training.step import Step

STEPS = 5
ROWS = 40


def main(device_name: str, batch: int, out: Path) -> None:
    """Profile eager steps, which name their operators, and time the steps as training runs them."""
    device = torch.device(device_name)
    precision = resolve_precision("auto", device)
    result: dict[str, object] = {
        "device": device_name,
        "batch": batch,
        "precision": precision,
        "torch": torch.__version__,
    }
    with use_precision(precision, device):
        step = make_step(device, batch, precision, "eager")
        with profile(
            activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
        ) as seen:
            repeat(step, batch, device)
        key = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
        rows = sorted(seen.key_averages(), key=lambda row: -getattr(row, key))[:ROWS]
        result["operators"] = [
            {"name": row.key, "calls": row.count / STEPS, "milliseconds": getattr(row, key) / 1e3 / STEPS}
            for row in rows
        ]
        for execution in ("eager", "auto"):
            step = make_step(device, batch, precision, execution)
            before = time.perf_counter()
            repeat(step, batch, device)
            result[f"milliseconds, {execution}"] = (time.perf_counter() - before) / STEPS * 1e3
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "operators"}))


def make_step(device: torch.device, batch: int, precision: str, execution: str) -> Step:
    """A step that is warm, and captured where it will be."""
    config = RunConfig.from_options("sabour2017-mnist", batch_size=batch, execution=execution)
    data = make_data(batch, 28, device)
    batches = Batches(data, Inputs(data.image_shape), [Shift(2)])
    step = Step(place_model(create_model("capsnet"), device), batches, config, precision)
    repeat(step, batch, device)
    return step


def repeat(step: Step, batch: int, device: torch.device) -> None:
    """Some steps on the same images."""
    order, draws = step.batches.plan_epoch(0, 0)
    for _ in range(STEPS):
        step(order[:batch], draws, 1e-3)
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
