"""A whole training step of the paper's network: from pixels to new weights, with augmentation and optimiser."""

import copy
from collections.abc import Iterator
from functools import partial

import torch

from capsnet import kernels
from capsnet.bench.bench import BENCHES, Bench, Job
from capsnet.bench.measure import Work
from capsnet.bench.memory import added_megabytes
from capsnet.data import ImageData
from capsnet.data.inputs import Inputs
from capsnet.data.transforms import Augmentation, Shift
from capsnet.models import CapsuleModel, create_model
from capsnet.precision import use_precision
from capsnet.runs.config import RunConfig
from capsnet.runs.sections import Execution, Precision
from capsnet.training.batches import Batch, Batches
from capsnet.training.device import place_model, resolve_precision
from capsnet.training.objective import find_losses
from capsnet.training.step import Step

CLASSES = tuple("0123456789")
# three warm-up steps, and the captured one
STEPS_TO_CAPTURE = 4
SIDES = (28, 32, 48, 64, 96)


def make_data(count: int, side: int, device: torch.device) -> ImageData:
    """Random images: the cost of a step does not depend on their content."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 1, side, side), dtype=torch.uint8, generator=draw)
    return ImageData(images, torch.randint(10, (count,), generator=draw), CLASSES).to(device)


def make_paths(device: torch.device, batch: int, side: int, model_name: str = "capsnet") -> dict[str, Work]:
    """One training step per path.

    Plain and fused in float32, on a CPU also fused without C; fused in lower precision, and that as a CUDA graph.
    """
    torch.manual_seed(0)
    model = create_model(model_name, image_shape=(1, side, side))
    modes: dict[str, tuple[kernels.Mode, Precision, Execution]] = {
        "plain": ("plain", "fp32", "eager"),
        "fused": ("auto", "fp32", "eager"),
    }
    if device.type == "cpu":
        # as on a machine that has no compiler
        modes["fused without C"] = ("torch", "fp32", "eager")
    if device.type == "cuda":
        modes["fused tf32"] = ("auto", "tf32", "eager")
    if resolve_precision("auto", device) == "bf16":
        modes["fused bf16"] = ("auto", "bf16", "eager")
        if device.type == "cuda":
            modes["fused bf16 graph"] = ("auto", "bf16", "cuda-graph")
            modes["fused bf16 compiled graph"] = ("auto", "bf16", "compile")
    data = make_data(batch, side, device)
    return {name: _path(place_model(copy.deepcopy(model), device), data, *settings) for name, settings in modes.items()}


def _path(model: CapsuleModel, data: ImageData, mode: kernels.Mode, precision: Precision, execution: Execution) -> Work:
    config = RunConfig.from_defaults(batch_size=len(data), execution=execution)
    device, inputs = data.images.device, Inputs(data.image_shape)
    augmentation = Augmentation((Shift(config.augmentation.shift),))
    step = Step(model, Batches(data, inputs, augmentation), config, precision)
    indices = torch.arange(len(data), device=device)
    draws = augmentation.draw(len(data), inputs, torch.Generator(device).manual_seed(0))

    def work() -> None:
        with kernels.use(mode), use_precision(precision, device):
            step(indices, draws, 1e-4)

    return work


def warm_up(paths: dict[str, Work], device: torch.device) -> dict[str, Work]:
    """On a GPU, run the steps before the first replay: warm-up and capture."""
    if device.type == "cuda":
        for work in paths.values():
            for _ in range(STEPS_TO_CAPTURE):
                work()
    return paths


def count_operations(side: int = 28) -> float:
    """Floating-point operations of the direct algorithm for one image, forward and backward; without the optimiser."""
    model, data = create_model("capsnet", image_shape=(1, side, side)), make_data(1, side, torch.device("cpu"))
    images = data.images.float() / 255
    return count_of(lambda: find_losses(model, Batch(images, data.labels, images), 0.0005).total.backward())


def count_of(work: Work) -> float:
    """Floating-point operations of a piece of work without fused kernels."""
    # imported late: it imports Triton, which takes half a second
    from torch.utils.flop_counter import FlopCounterMode

    with kernels.use("plain"), FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def jobs(device: torch.device, quick: bool) -> Iterator[Job]:
    """The authors' batch, and on a GPU also a large one."""
    operations = count_operations()
    for batch in (128, 1024) if device.type == "cuda" else (128,) if quick else (16, 128):
        yield Job(
            {"batch": batch, "image": 28},
            warm_up(make_paths(device, batch, 28), device),
            operations * batch,
            memory=partial(_memory, device, batch),
        )


def _memory(device: torch.device, batch: int, path: str) -> float:
    return added_megabytes("step", path, device, batch, 28)


def sides(device: torch.device, quick: bool) -> Iterator[Job]:
    """A step at several image sizes."""
    for side in SIDES[-1:] if quick else SIDES:
        yield Job(
            {"batch": 16, "image": side}, warm_up(make_paths(device, 16, side), device), 16 * count_operations(side)
        )


BENCHES.add("step", Bench(jobs, "a training step of the paper's network: time and memory", trains=True))
BENCHES.add("image-size", Bench(sides, "a training step of 16 images of growing size", rounds=3, trains=True))
