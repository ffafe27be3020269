"""What this installation finds on its machine: a list of findings, each of a part; a part that is broken is one too."""

import warnings
from collections.abc import Callable, Mapping

from capsnet.doctor.data import find_data
from capsnet.doctor.finding import Finding as Finding
from capsnet.doctor.kernels import find_kernels
from capsnet.doctor.machine import find_device, find_memory, find_python, find_threads, find_torch
from capsnet.doctor.packages import find_packages
from capsnet.doctor.storage import find_storage

CHECKS: Mapping[str, Callable[[], Finding]] = {
    "python": find_python,
    "torch": find_torch,
    "device": find_device,
    "threads": find_threads,
    "memory": find_memory,
    "kernels": find_kernels,
    "data": find_data,
    "cache": find_storage,
    "packages": find_packages,
}


def examine() -> dict[str, Finding]:
    """Look at every part; nothing is downloaded, measured or trained.

    Returns:
        A finding for each part, in order. One that fails has its fault as a warning.

    Example:
        >>> capsnet.doctor.examine()["device"].values["bf16_in_hardware"]
    """
    return {name: _look(name, check) for name, check in CHECKS.items()}


def _look(name: str, check: Callable[[], Finding]) -> Finding:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            finding = check()
        # whatever is broken, the other parts are still worth knowing
        except Exception as fault:
            line = f"{type(fault).__name__}: {fault}"
            finding = Finding({"broken": line}, {"broken": line}, (f"{name} is broken: {line}",))
    also = tuple(f"{name}: {warning.message}" for warning in said)
    return Finding(finding.says, finding.values, (*finding.warnings, *also))


__all__ = ["CHECKS", "Finding", "examine"]
