"""Inference with a trained network: classification and reconstruction."""

from collections.abc import Iterator
from functools import partial

import torch

from capsnet import kernels
from capsnet.bench.bench import BENCHES, Bench, Job
from capsnet.bench.step import count_of, make_data
from capsnet.models import create_model
from capsnet.precision import use_precision
from capsnet.training.device import place_model, resolve_precision


def count_operations() -> float:
    """Floating-point operations of the direct algorithm to classify and reconstruct one image."""
    model, images = create_model("capsnet"), make_data(1, 28, torch.device("cpu")).images.float() / 255
    return count_of(lambda: model.reconstruct(model(images).capsules))


def jobs(device: torch.device, quick: bool) -> Iterator[Job]:
    """A single image, and batches."""
    model = place_model(create_model("capsnet"), device).eval()
    modes: dict[str, tuple[kernels.Mode, str]] = {"plain": ("plain", "fp32"), "fused": ("auto", "fp32")}
    if resolve_precision("auto", device) == "bf16":
        modes["fused bf16"] = ("auto", "bf16")
    operations = count_operations()
    for batch in (1, 128) if quick or device.type == "cpu" else (1, 128, 1024):
        inputs = make_data(batch, 28, device).images.float() / 255

        @torch.inference_mode()
        def work(mode: kernels.Mode, precision: str, inputs: torch.Tensor = inputs) -> None:
            autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
            with kernels.use(mode), use_precision(precision, device), autocast:
                model.reconstruct(model(inputs).capsules)

        yield Job(
            {"batch": batch, "image": 28},
            {name: partial(work, *settings) for name, settings in modes.items()},
            operations * batch,
        )


BENCHES.add("inference", Bench(jobs, "classify and reconstruct with a trained network"))
