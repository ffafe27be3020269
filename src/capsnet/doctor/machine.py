"""Checks of interpreter, torch, device, threads and memory."""

import os
import platform
import sys
from pathlib import Path

import torch

from capsnet._version import __version__
from capsnet.doctor.finding import Finding
from capsnet.processors import count_processors
from capsnet.training.device import available_memory, find_commit, find_processor, resolve_device, resolve_precision

# bytes for a training step of the paper's network, with weights, moments and votes
_ENOUGH_MEMORY = 1_500_000_000


def find_python() -> Finding:
    """The interpreter, and the installed capsnet."""
    commit = find_commit()
    folder = Path(__file__).parents[1]
    lines = {
        "capsnet": f"{__version__}{f', commit {commit}' if commit else ''}, in {folder}",
        "python": f"{platform.python_version()}, {sys.executable}",
        "system": f"{platform.system()} {platform.machine()}",
    }
    values = {
        "version": platform.python_version(),
        "executable": sys.executable,
        "system": f"{platform.system()} {platform.machine()}",
        "capsnet_folder": str(folder),
        "capsnet_commit": commit,
    }
    return Finding(lines, values)


def find_torch() -> Finding:
    """The version of torch and its build."""
    cuda, hip = torch.version.cuda, torch.version.hip
    build = f"built for CUDA {cuda}" if cuda else f"built for ROCm {hip}" if hip else "built for CPUs only"
    capability = torch.backends.cpu.get_cpu_capability()
    lines = {"torch": f"{torch.__version__}, {build}", "instructions": f"{capability} on the CPU"}
    return Finding(lines, {"version": torch.__version__, "cuda": cuda, "rocm": hip, "instructions": capability})


def find_device() -> Finding:
    """The device for training, and whether it supports bf16 in hardware."""
    device = resolve_device("auto")
    warnings: tuple[str, ...] = ()
    if device.type == "cuda":
        name, count = torch.cuda.get_device_name(device), torch.cuda.device_count()
        description = f"{name}{f', the first of {count}' if count > 1 else ''}"
    else:
        name = description = find_processor()
        if Path("/dev/nvidia0").exists() and os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
            warnings = ("device: CUDA_VISIBLE_DEVICES hides the NVIDIA GPU; unset it to use the GPU",)
        elif Path("/dev/nvidia0").exists():
            warnings = ("device: torch cannot use the NVIDIA GPU; check its build (CUDA) and the driver's version",)
    half = resolve_precision("auto", device) == "bf16"
    precision = "in hardware: --precision auto uses it" if half else "not in hardware: --precision auto is fp32"
    values = {"type": device.type, "name": name, "bf16_in_hardware": half}
    return Finding({"device": f"{device.type}, {description}", "bf16": precision}, values, warnings)


def find_threads() -> Finding:
    """Number of threads that torch uses, and of processors that this process may use."""
    threads, processors = torch.get_num_threads(), count_processors()
    setting = os.environ.get("OMP_NUM_THREADS")
    text = f"{threads} in torch, on {processors} processor{'s' if processors > 1 else ''}"
    if setting:
        text += f" (OMP_NUM_THREADS={setting})"
    warnings: tuple[str, ...] = ()
    if threads > processors:
        warnings = (
            f"threads: torch uses {threads}, this process may use {processors} processors; set OMP_NUM_THREADS",
        )
    return Finding(
        {"threads": text}, {"torch": threads, "processors": processors, "OMP_NUM_THREADS": setting}, warnings
    )


def find_memory() -> Finding:
    """Free memory on the device for training."""
    device = resolve_device("auto")
    free = available_memory(device)
    warnings: tuple[str, ...] = ()
    if free < _ENOUGH_MEMORY:
        warnings = (f"memory: {free / 1e9:.1f} GB are free, the paper's network needs about 1.5; use --batch-size 32",)
    return Finding({"free": f"{free / 1e9:.1f} GB on {device.type}"}, {"free_bytes": free}, warnings)
