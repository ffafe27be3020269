"""Device, precision, memory and seed of a run, and the record of its environment."""

import platform
import random
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn

from capsnet._version import __version__
from capsnet.errors import UserError
from capsnet.models import CapsuleModel
from capsnet.precision import multiplies_bfloat16
from capsnet.training.memory import available_memory as available_memory
from capsnet.training.memory import fitting_batch, memory_bound, parameter_memory, step_memory


def resolve_device(name: str) -> torch.device:
    """The device for `auto`, `cpu` or `cuda`.

    Raises:
        UserError: cuda on a machine without a CUDA device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device must be cpu or auto, got cuda: this machine has no CUDA device that torch can use")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def resolve_precision(name: str, device: torch.device) -> str:
    """`fp32`, `tf32` or `bf16`; `auto` is bf16 if the hardware supports it.

    Raises:
        UserError: tf32 on a CPU.
    """
    if name == "tf32" and device.type != "cuda":
        raise UserError(f"`precision` tf32 needs a CUDA device, this run is on {device.type}; use fp32")
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if multiplies_bfloat16() else "fp32"


def describe_precision(precision: str, device: torch.device) -> list[str]:
    """A note on a precision that this device only emulates, for a run that was started on another device."""
    if precision != "bf16" or resolve_precision("auto", device) == "bf16":
        return []
    return [
        f"the run's precision is bf16, which this {'GPU' if device.type == 'cuda' else 'processor'} does not support "
        "in hardware: its convolutions are slower than in fp32"
    ]


def place_model(model: CapsuleModel, device: torch.device) -> CapsuleModel:
    """Move a model; on a GPU, its convolutions are channels-last, as tensor-core kernels and capsules need."""
    if device.type == "cuda":
        for module in model.modules():
            # not the whole model: the matrices of a capsule layer have four axes, too
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch types no layout alone
    return model.to(device)


def seed_everything(seed: int) -> None:
    """Seed every global generator; only initialisation draws from them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def check_memory(model: CapsuleModel, batch_size: int, device: torch.device, precision: str = "fp32") -> None:
    """Refuse a network that does not fit into memory, before it is allocated.

    Args:
        model: on the meta device.
        batch_size: images in a step.
        device: for training.
        precision: of the convolutions, `"fp32"` or `"bf16"`.

    Raises:
        UserError: it needs more than is free; the message names the reason.
    """
    available, parameters = available_memory(device), parameter_memory(model)
    # measuring takes as long as a step: do it only if the network might not fit
    if memory_bound(model, batch_size) <= available:
        return
    needed = parameters if parameters > available else step_memory(model, batch_size, device, precision)
    if needed <= available:
        return
    largest = max(model.dense_layers, key=lambda layer: layer.weight.numel(), default=None)
    children = "" if largest is None or largest.num_children is None else f"{largest.num_children:,} "
    sizes = "" if largest is None else f"{children}capsules vote for {largest.num_parents:,} classes, "
    remedy = "use smaller images (image_size)"
    fitting = 0 if parameters > available else fitting_batch(model, batch_size, needed, available, device, precision)
    if fitting:
        remedy = f"at most {fitting} fit: use that batch_size, or accumulate, which computes a batch in parts"
    needs = f"{parameters / 1e9:.1f} GB for weights, gradients and moments"
    if needed > parameters:
        needs += f" and {(needed - parameters) / 1e9:.1f} GB for a batch of {batch_size} images"
    raise UserError(
        f"the network needs about {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are free: {sizes}{needs}; {remedy}"
    )


def describe_environment(device: torch.device, precision: str) -> dict[str, object]:
    """The environment of a result: versions, machine, commit, command."""
    program = Path(sys.argv[0]).name
    return {
        "capsnet": __version__,
        "commit": find_commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": find_processor(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "precision": precision,
        **_describe_kernels(device),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["capsnet" if program == "__main__.py" else program, *sys.argv[1:]]),
    }


def _describe_kernels(device: torch.device) -> dict[str, object]:
    """Which implementations compute, because they differ by rounding; the package works without `kernels/`."""
    try:
        from capsnet.kernels import mode, native
    except ModuleNotFoundError:
        return {"kernels": "plain"}
    return {"kernels": mode(), **({"c_compiler": native.describe()} if device.type == "cpu" else {})}


def compare_kernels(
    recorded: Mapping[str, object] | None, device: torch.device, fixed_order: bool = False
) -> list[str]:
    """A note for each difference between the kernels or threads that began a run and those that continue it.

    Args:
        recorded: the environment of the run; older runs hold no kernels.
        device: of the run.
        fixed_order: whether the number of threads makes no difference.
    """
    before, present, threads = recorded or {}, _describe_kernels(device), torch.get_num_threads()
    notes = [
        f"the run began with {name} {before[name]} and continues with {value}: results differ by rounding"
        for name, value in present.items()
        if before.get(name, value) != value
    ]
    began = before.get("threads", threads)
    if device.type == "cpu" and began != threads and not fixed_order:
        notes.append(
            f"the run began with {began} threads and continues with {threads}: results of some networks differ by "
            "rounding (not with fixed_order)"
        )
    return notes


def find_commit() -> str | None:
    """The commit if this package runs from a checkout, with `-dirty` if files of the package differ; otherwise None."""
    root = Path(__file__).parents[3]
    # an installed package may lie inside another project's repository
    if not (root / "src" / "capsnet").is_dir():
        return None
    git = ["git", "-C", str(root)]
    try:
        command = [*git, "describe", "--always", "--abbrev=12"]
        commit = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
        # results, which a command may just have written, do not count
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "src"], capture_output=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return commit if changed.returncode == 0 else f"{commit}-dirty"


def find_processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
