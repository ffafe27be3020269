"""The C compiler of this machine, for tests of kernels in C and of processes with a cache of their own."""

import shutil
from pathlib import Path

import pytest

from capsnet.cache import cache_dir
from capsnet.kernels import native
from capsnet.kernels.compiler import find_compiler

_FOUND = find_compiler()
_REASON = _FOUND if isinstance(_FOUND, str) else ""

needs_compiler = pytest.mark.skipif(bool(_REASON), reason=f"needs a C compiler: {_REASON}")
"""Mark of tests that compile."""


def copy_libraries(cache: Path) -> None:
    """Put the compiled kernels of this process into another cache, so that a process that uses it compiles nothing."""
    native.refusals()
    if (cache_dir() / "native").is_dir():
        shutil.copytree(cache_dir() / "native", cache / "native", dirs_exist_ok=True)
