"""Kernels in C, which the system's compiler turns into a shared library when one is first needed.

The sources use the vector extensions of GCC and Clang, and nothing but C: a library compiles in about a second, is kept
in the cache folder, and serves every version of Python and PyTorch. Without a compiler the kernels made of PyTorch's
operations are used, which compute the same functions but for rounding.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from capsnet.cache import cache_dir
from capsnet.kernels.choice import mode

HEADER = Path(__file__).with_name("vectors.h")
_COMPILERS = ("cc", "gcc", "clang")
_FLAGS = ("-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")
# the instructions that torch computes with, so that ATEN_CPU_CAPABILITY limits both
_INSTRUCTIONS = {"AVX512": "-march=x86-64-v4", "AVX2": "-march=x86-64-v3"}
_SECONDS = 120


def refuses(source: Path) -> str | None:
    """The reason why a kernel in C cannot be used; None if its library is ready. It compiles it where necessary."""
    if mode() != "auto":
        return f"CAPSNET_KERNELS is {mode()}"
    problem = _load(source, _instructions(), str(cache_dir()))
    return problem if isinstance(problem, str) else None


def load(source: Path) -> ctypes.CDLL:
    """The library of a source that `refuses` has accepted."""
    library = _load(source, _instructions(), str(cache_dir()))
    if isinstance(library, str):
        raise RuntimeError(library)
    return library


def pointer(tensor: torch.Tensor) -> ctypes.c_void_p:
    """The address of a tensor's first number. The caller keeps the tensor while C reads it."""
    return ctypes.c_void_p(tensor.data_ptr())


def find_compiler() -> str | None:
    """The C compiler: `$CC` if set, otherwise the first of cc, gcc and clang; None without one."""
    named = os.environ.get("CC")
    return next((path for name in ((named,) if named else _COMPILERS) if (path := shutil.which(name))), None)


@functools.cache
def _instructions() -> str:
    return torch.backends.cpu.get_cpu_capability()


@functools.cache
def _load(source: Path, instructions: str, cache: str) -> ctypes.CDLL | str:
    """The library, or the reason why there is none."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64") and instructions not in _INSTRUCTIONS:
        return f"it needs AVX2, and PyTorch computes with {instructions}"
    flags = [*_FLAGS, *([_INSTRUCTIONS[instructions]] if instructions in _INSTRUCTIONS else [])]
    text = source.read_bytes() + HEADER.read_bytes()
    key = hashlib.sha256(text + " ".join([platform.system(), machine, *flags]).encode()).hexdigest()[:16]
    library = Path(cache) / "native" / f"{source.stem}-{key}.so"
    try:
        if not library.is_file():
            problem = _compile(source, flags, library)
            if problem:
                return problem
        return ctypes.CDLL(str(library))
    except OSError as error:
        return f"its library cannot be written or loaded: {error}"


def _compile(source: Path, flags: list[str], library: Path) -> str | None:
    """Write the library; the reason if that fails."""
    compiler = find_compiler()
    if compiler is None:
        return "there is no C compiler: install gcc or clang"
    library.parent.mkdir(parents=True, exist_ok=True)
    # several processes may compile at the same time: each in a file of its own, moved into place when whole
    handle, part = tempfile.mkstemp(".part", library.stem, library.parent)
    os.close(handle)
    try:
        command = [compiler, *flags, f"-I{HEADER.parent}", "-o", part, str(source)]
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS)
        if result.returncode:
            lines = result.stderr.strip().splitlines() or [f"status {result.returncode}"]
            return f"{compiler} does not compile {source.name}: {lines[0]}"
        os.replace(part, library)
    except subprocess.TimeoutExpired:
        return f"{compiler} took more than {_SECONDS} seconds"
    finally:
        Path(part).unlink(missing_ok=True)
    return None
