"""Check the installation and the machine: one finding per check, even if the check fails."""

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
    """Run all checks; nothing is downloaded, measured or trained, but kernels in C are compiled once.

    Returns:
        A finding for each check, in order; if a check fails, the finding holds its error as a warning.

    Example:
        >>> capsnet.doctor.examine()["device"].values["bf16_in_hardware"]
    """
    return {name: _check(name, check) for name, check in CHECKS.items()}


def _check(name: str, check: Callable[[], Finding]) -> Finding:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            finding = check()
        # if one check fails, the others must still run
        except Exception as fault:
            line = f"{type(fault).__name__}: {fault}"
            finding = Finding({"broken": line}, {"broken": line}, (f"{name} is broken: {line}",))
    more = tuple(f"{name}: {warning.message}" for warning in caught)
    return Finding(finding.lines, finding.values, (*finding.warnings, *more))


__all__ = ["CHECKS", "Finding", "examine"]
