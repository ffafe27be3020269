"""Kernels in C, which the system's compiler turns into a shared library when one is first needed.

The sources use the vector extensions of GCC and Clang, and nothing but C: a library compiles in about a second, is kept
in the cache folder, and serves every version of Python and PyTorch. Without a compiler the kernels made of PyTorch's
operations are used, which compute the same functions but for rounding.

A library is code that this process runs. It is therefore loaded only from a folder that belongs to this user and that
nobody else can write to, and only if its content has the checksum in its name.
"""

import contextlib
import ctypes
import functools
import hashlib
import logging
import os
import platform
import stat
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from capsnet.cache import cache_dir, prune_cache
from capsnet.kernels import compiler
from capsnet.kernels.choice import mode
from capsnet.kernels.compiler import Compiler, find_compiler

HEADERS = Path(__file__).parent
"""Folder of `vectors.h`, which the sources include."""
_FLAGS = ("-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")
# what PyTorch asks of a processor before it computes with these instructions, so that ATEN_CPU_CAPABILITY limits both;
# by -march=x86-64-v4, Clang would divide vectors of 512 bits, and compilers before GCC 11 do not know it
_INSTRUCTIONS = {
    "AVX2": ("-mavx2", "-mfma"),
    "AVX512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"),
}
_MOST_BYTES = 32 << 20


def refuses(source: Path) -> str | None:
    """The reason why a kernel in C cannot be used; None if its library is ready. It compiles it where necessary."""
    if mode() != "auto":
        return f"CAPSNET_KERNELS is {mode()}"
    library = _library(source)
    return library if isinstance(library, str) else None


def load(source: Path) -> ctypes.CDLL:
    """The library of a source that `refuses` has accepted."""
    library = _library(source)
    if isinstance(library, str):
        raise RuntimeError(library)
    return library


def pointer(tensor: torch.Tensor) -> ctypes.c_void_p:
    """The address of a tensor's first number. The caller keeps the tensor while C reads it."""
    return ctypes.c_void_p(tensor.data_ptr())


def sources() -> list[Path]:
    """The C sources of this package."""
    return sorted(Path(__file__).parent.rglob("*.c"))


def refusals() -> dict[str, str | None]:
    """For each source by its name, the reason why it cannot be used, or None. It compiles them at the same time."""
    paths = sources()
    with ThreadPoolExecutor() as pool:
        return dict(zip([path.stem for path in paths], pool.map(refuses, paths), strict=True))


def describe() -> str:
    """The compiler of the kernels in C that are used on the CPU, or `none` and the reason."""
    if mode() != "auto":
        return f"none: CAPSNET_KERNELS is {mode()}"
    c_compiler = find_compiler()
    if isinstance(c_compiler, str):
        return f"none: {c_compiler}"
    reasons = {name: reason for name, reason in refusals().items() if reason is not None}
    if reasons and len(reasons) == len(sources()):
        return f"none: {next(iter(reasons.values()))}"
    return "; ".join([c_compiler.version, *(f"not for {name}: {reason}" for name, reason in reasons.items())])


def _library(source: Path) -> ctypes.CDLL | str:
    # one that is loaded stays, wherever the cache is moved to
    return _load(source, _instructions(), os.environ.get("CC"), os.environ.get("PATH"))


@functools.cache
def _instructions() -> str:
    return torch.backends.cpu.get_cpu_capability()


@functools.cache
def _load(source: Path, instructions: str, *compiler_variables: str | None) -> ctypes.CDLL | str:
    """The library, or the reason why there is none."""
    try:
        library = _find(source, instructions)
    except OSError as error:
        library = f"the library cannot be written or loaded ({error}); set CAPSNET_CACHE_DIR to another folder"
    if isinstance(library, str):
        _log_once(f"{source.name} is not used, because {library}")
    return library


@functools.cache
def _log_once(message: str) -> None:
    logging.getLogger("capsnet").info(message)


def _find(source: Path, instructions: str) -> ctypes.CDLL | str:
    """The library in the cache, compiled where necessary, or the reason why there is none."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64") and instructions not in _INSTRUCTIONS:
        return f"kernels in C need AVX2, and PyTorch computes with {instructions}"
    c_compiler = find_compiler()
    if isinstance(c_compiler, str):
        return c_compiler
    command = [*c_compiler.command, *_FLAGS, *_INSTRUCTIONS.get(instructions, ())]
    folder = cache_dir() / "native"
    problem = _own(folder)
    if problem:
        return problem
    start = f"{source.stem}-{_key(source, [platform.system(), machine, c_compiler.version, *command])}"
    for path in folder.glob(f"{start}-*.so"):
        # one that is incomplete, or was changed, would end this process when it is mapped
        if path.stem == f"{start}-{_checksum(path)}":
            return ctypes.CDLL(str(path))
        path.unlink(missing_ok=True)
    library = _compile(source, c_compiler, command, folder / start)
    return library if isinstance(library, str) else ctypes.CDLL(str(library))


def _own(folder: Path) -> str | None:
    """Make a folder for this user alone; the reason if others can put a library into it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is not a folder"
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return (
            f"other users can write to {folder}, and code in it would be run; set CAPSNET_CACHE_DIR to another folder"
        )
    return None


def _key(source: Path, words: list[str]) -> str:
    """A checksum of all that determines a library."""
    text = b"".join(path.read_bytes() for path in (source, *sorted(HEADERS.glob("*.h"))))
    return hashlib.sha256(text + "\n".join(words).encode(errors="surrogateescape")).hexdigest()[:16]


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _compile(source: Path, c_compiler: Compiler, command: list[str], start: Path) -> Path | str:
    """Write the library; the reason if that fails."""
    # several processes may compile at the same time: each in a file of its own, moved into place when whole
    handle, name = tempfile.mkstemp(".part", start.name, start.parent)
    os.close(handle)
    part, began = Path(name), time.perf_counter()
    try:
        arguments = [*command, f"-I{HEADERS}", "-o", name, str(source)]
        _, problem = compiler.run(arguments, compiler.COMPILE_SECONDS)
        if problem:
            return problem
        library = start.with_name(f"{start.name}-{_checksum(part)}.so")
        part.replace(library)
    finally:
        part.unlink(missing_ok=True)
    seconds = time.perf_counter() - began
    logging.getLogger("capsnet").info(f"{source.name} compiled in {seconds:.1f} s by {c_compiler.version}")
    # another process may remove the same files
    with contextlib.suppress(OSError):
        prune_cache(library.parent, _MOST_BYTES, keep=library)
    return library
