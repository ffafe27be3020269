"""What a trained network costs in use: images to lengths, and lengths to a reconstruction."""

from collections.abc import Iterator
from functools import partial

import torch

from capsnet import kernels
from capsnet.bench.bench import BENCHES, Bench, Job
from capsnet.bench.step import count_operations, make_data
from capsnet.models import create_model
from capsnet.training.device import place_model, resolve_precision, use_precision


def jobs(device: torch.device, quick: bool) -> Iterator[Job]:
    """One image, and a batch."""
    model = place_model(create_model("capsnet"), device).eval()
    kinds: dict[str, tuple[kernels.Mode, str]] = {"plain": ("plain", "fp32"), "fused": ("auto", "fp32")}
    if resolve_precision("auto", device) == "bf16":
        kinds["fused bf16"] = ("auto", "bf16")
    for batch in (1, 128) if quick or device.type == "cpu" else (1, 128, 1024):
        inputs = make_data(batch, 28, device).images.float() / 255

        @torch.inference_mode()
        def work(mode: kernels.Mode, precision: str, inputs: torch.Tensor = inputs) -> None:
            autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
            with kernels.use(mode), use_precision(precision, device), autocast:
                model.reconstruct(model(inputs).capsules)

        yield Job(
            {"batch": batch, "image": 28},
            {name: partial(work, *kind) for name, kind in kinds.items()},
            # forward is a third of a step
            count_operations() / 3 * batch,
        )


BENCHES.add("inference", Bench(jobs, "classify and reconstruct with a trained network"))
