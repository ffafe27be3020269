"""Compilation, cache and refusals of kernels in C, on a source of a few lines."""

import ctypes
import errno
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.c_compiler import needs_compiler

import capsnet
from capsnet.kernels import compiler, native
from capsnet.kernels.compiler import find_compiler

SOURCE = """#include "vectors.h"
void twice(int64_t count, const float *from, float *to)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = 2 * from[i];
}
"""
USE = """
import sys
from pathlib import Path
from capsnet.kernels import native
print(native.refuses(Path(sys.argv[1])))
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of libraries, which does not exist yet."""
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CAPSNET_KERNELS", "auto")
    return tmp_path / "cache" / "native"


@pytest.fixture
def source(tmp_path: Path, cache: Path) -> Path:
    path = tmp_path / "twice.c"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a shell script the C compiler; it gets `--version` first."""

    def write(commands: str, version: str = "echo a compiler 1.0") -> Path:
        path = tmp_path / "compiler.sh"
        path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then {version}; exit; fi\n{commands}\n')
        path.chmod(0o700)
        monkeypatch.setenv("CC", str(path))
        return path

    return write


def twice(library: ctypes.CDLL) -> list[float]:
    numbers, result = torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3)
    library.twice(ctypes.c_int64(3), native.pointer(numbers), native.pointer(result))
    return result.tolist()


@needs_compiler
def test_source_is_compiled_once_and_computes(source, cache, caplog):
    caplog.set_level(logging.INFO, "capsnet")
    assert native.refuses(source) is None
    assert twice(native.load(source)) == [2, 4, 6]
    (library,) = cache.iterdir()
    (record,) = caplog.records
    assert record.message.startswith("twice.c compiled in ")
    native._load.cache_clear()
    assert native.refuses(source) is None
    assert list(cache.iterdir()) == [library]
    assert len(caplog.records) == 1


@needs_compiler
def test_folder_of_libraries_is_for_the_user_alone(source, cache):
    native.load(source)
    assert cache.stat().st_mode & 0o777 == 0o700


@needs_compiler
@pytest.mark.parametrize("content", [b"", b"no library", None])
def test_damaged_library_is_compiled_anew(source, cache, content):
    native.load(source)
    (library,) = cache.iterdir()
    whole = library.read_bytes()
    # this process has mapped the old file
    library.unlink()
    # mapping half a library would end the process by a bus error
    library.write_bytes(whole[: len(whole) // 2] if content is None else content)
    native._load.cache_clear()
    assert twice(native.load(source)) == [2, 4, 6]
    (library,) = cache.iterdir()
    assert len(library.read_bytes()) == len(whole)


@needs_compiler
def test_file_of_a_killed_compilation_is_no_library(source, cache):
    native.load(source)
    (library,) = cache.iterdir()
    part = library.rename(library.with_suffix(".part"))
    native._load.cache_clear()
    assert native.refuses(source) is None
    assert library.exists()
    two_days_ago = time.time() - 2 * 86400
    os.utime(part, (two_days_ago, two_days_ago))
    source.write_text(SOURCE.replace("2 *", "2.0f *"))
    native._load.cache_clear()
    native.load(source)
    assert not part.exists()


@needs_compiler
@pytest.mark.parametrize("other", ["source", "compiler"])
def test_another_source_or_compiler_gives_another_library(source, cache, program, other):
    native.load(source)
    native._load.cache_clear()
    if other == "source":
        source.write_text(SOURCE.replace("2 *", "3 *"))
    else:
        program(f'exec {find_compiler().command[0]} "$@"')
    expected = [3, 6, 9] if other == "source" else [2, 4, 6]
    assert twice(native.load(source)) == expected
    assert len(list(cache.iterdir())) == 2


@needs_compiler
def test_libraries_follow_the_instructions_of_torch(source, cache):
    capability = torch.backends.cpu.get_cpu_capability()
    if capability not in ("AVX2", "AVX512"):
        pytest.skip(f"PyTorch computes with {capability}")
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "avx2"}
    command = [sys.executable, "-c", USE, str(source)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "None"
    assert native.refuses(source) is None
    assert len(list(cache.iterdir())) == (1 if capability == "AVX2" else 2)


def test_processors_without_avx2_are_a_reason(source, monkeypatch):
    monkeypatch.setattr(native.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(native, "_instructions", lambda: "DEFAULT")
    assert native.refuses(source) == "kernels in C need AVX2, and PyTorch computes with DEFAULT"


def fork(check):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if check() else 1
        finally:
            # also after an exception: the tests go on in the parent only
            os._exit(status)
    return child


@needs_compiler
def test_processes_may_compile_at_the_same_time_and_fork(source, cache):
    children = [fork(lambda: twice(native.load(source)) == [2, 4, 6]) for _ in range(4)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert [path.suffix for path in cache.iterdir()] == [".so"]
    library = native.load(source)
    assert os.waitpid(fork(lambda: twice(library) == [2, 4, 6]), 0)[1] == 0


@needs_compiler
def test_paths_with_spaces_and_other_letters_are_compiled(tmp_path, cache, monkeypatch):
    folder = tmp_path / "Größe 2 $HOME"
    folder.mkdir()
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(folder))
    path = folder / "twice.c"
    path.write_text(SOURCE)
    assert twice(native.load(path)) == [2, 4, 6]


@needs_compiler
@pytest.mark.parametrize("name", ["my compiler", "wrapper"])
def test_compiler_with_spaces_or_arguments_is_used(source, tmp_path, monkeypatch, name):
    path = tmp_path / name
    path.write_text('#!/bin/sh\nexec "$@"\n' if name == "wrapper" else '#!/bin/sh\nexec cc "$@"\n')
    path.chmod(0o700)
    real = find_compiler().command[0]
    monkeypatch.setenv("CC", f"{path} {real} -g0" if name == "wrapper" else str(path))
    assert twice(native.load(source)) == [2, 4, 6]


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"CC": "", "PATH": ""}, "there is no C compiler; install gcc or clang"),
        ({"CC": "/nonexistent"}, "$CC is /nonexistent, which is not found"),
        ({"CC": "ccache-of-nobody gcc"}, "$CC is ccache-of-nobody gcc, which is not found"),
        ({"CC": "'gcc"}, "$CC is 'gcc, which is not found"),
        ({"CAPSNET_KERNELS": "torch"}, "CAPSNET_KERNELS is torch"),
        ({"CAPSNET_KERNELS": "plain"}, "CAPSNET_KERNELS is plain"),
    ],
)
def test_no_compiler_or_a_mode_without_c_is_a_reason(source, cache, monkeypatch, variables, reason):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert native.refuses(source) == reason
    assert native.describe() == f"none: {reason}"
    assert not cache.exists()


def test_windows_is_a_reason(source, monkeypatch):
    compiler._find.cache_clear()
    monkeypatch.setattr(compiler.os, "name", "nt")
    # Path makes Windows paths now
    found = compiler.find_compiler()
    compiler._find.cache_clear()
    assert found == "kernels in C are not supported on Windows"


def test_placeholder_of_macos_is_not_started(monkeypatch, program, tmp_path):
    program("exit 1", version=f"touch '{tmp_path}/started'")
    monkeypatch.setattr(compiler.sys, "platform", "darwin")
    monkeypatch.setattr(compiler.os.path, "dirname", lambda program: "/usr/bin")
    assert find_compiler() == "there is no C compiler; run xcode-select --install"
    assert not (tmp_path / "started").exists()


def test_failure_of_the_compiler_is_one_line(source, cache, program):
    path = program("echo in a file >&2; echo 'twice.c:2: error: no such type' >&2; echo more >&2; exit 1")
    assert native.refuses(source) == f"{path} fails: twice.c:2: error: no such type"
    assert list(cache.iterdir()) == []


def test_failure_without_words_gives_the_status(source, program):
    path = program("exit 3")
    assert native.refuses(source) == f"{path} fails: status 3"


def test_compiler_that_writes_nothing_useful_is_a_reason(source, cache, program):
    program("exit 0")
    assert "the library cannot be written or loaded" in native.refuses(source)


def test_program_that_is_no_compiler_is_a_reason(source, program):
    path = program("exit 0", version="exit 1")
    assert native.refuses(source) == f"{path} fails: status 1"


def test_file_that_is_no_program_is_a_reason(source, program):
    path = program("exit 0")
    path.write_bytes(b"\x7fELF")
    assert native.refuses(source) == f"{path} cannot be run: Exec format error"


def test_compiler_that_hangs_is_killed_with_what_it_started(source, cache, program, monkeypatch, tmp_path):
    monkeypatch.setattr(compiler, "COMPILE_SECONDS", 0.2)
    path = program(f"sleep 60 & echo $! > {tmp_path / 'number'}; wait")
    assert native.refuses(source) == f"{path} took more than 0.2 seconds"
    assert list(cache.iterdir()) == []
    child, ends = int((tmp_path / "number").read_text()), time.monotonic() + 5
    while is_running(child) and time.monotonic() < ends:
        time.sleep(0.01)
    assert not is_running(child)


def is_running(process: int) -> bool:
    """A killed process that nobody has waited for does not run."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


@needs_compiler
def test_cache_that_cannot_be_written_is_a_reason(source, cache):
    cache.parent.write_text("a file")
    reason = native.refuses(source)
    assert reason.startswith("the library cannot be written or loaded (")
    assert reason.endswith("set CAPSNET_CACHE_DIR to another folder")


@needs_compiler
def test_full_disk_is_a_reason(source, monkeypatch):
    def fill(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(native.tempfile, "mkstemp", fill)
    assert "No space left on device" in native.refuses(source)


@needs_compiler
@pytest.mark.parametrize("stranger", ["mode", "owner", "link"])
def test_folder_that_others_can_write_to_is_refused(source, cache, monkeypatch, stranger):
    cache.mkdir(parents=True)
    if stranger == "mode":
        cache.chmod(0o770)
    elif stranger == "owner":
        monkeypatch.setattr(native.os, "geteuid", lambda: os.getuid() + 1)
    else:
        cache.rename(cache.with_name("elsewhere"))
        cache.symlink_to(cache.with_name("elsewhere"))
    reason = f"{cache} is not a folder" if stranger == "link" else f"other users can write to {cache}, "
    assert native.refuses(source).startswith(reason)


@needs_compiler
def test_library_that_cannot_be_loaded_is_a_reason(source, program):
    program('for last; do :; done; while [ "$1" != -o ]; do shift; done; echo nothing > "$2"')
    assert "the library cannot be written or loaded" in native.refuses(source)


@needs_compiler
def test_source_that_is_not_a_file_is_a_reason(tmp_path, cache):
    assert "absent.c" in native.refuses(tmp_path / "absent.c")


def test_load_raises_the_reason(source, monkeypatch):
    monkeypatch.setenv("CC", "/nonexistent")
    with pytest.raises(RuntimeError, match="which is not found"):
        native.load(source)


def test_refusal_is_logged_once(source, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "capsnet")
    monkeypatch.setenv("CC", "/nonexistent/logged once")
    for _ in range(2):
        native.refuses(source)
    (record,) = caplog.records
    assert record.message.startswith("twice.c is not used, because $CC is")


@needs_compiler
def test_oldest_libraries_are_removed_beyond_a_size(source, cache, monkeypatch):
    native.load(source)
    monkeypatch.setattr(native, "_MOST_BYTES", 1)
    monkeypatch.setattr(native, "_FLAGS", (*native._FLAGS, "-g0"))
    native._load.cache_clear()
    assert twice(native.load(source)) == [2, 4, 6]
    assert len(list(cache.iterdir())) == 1


@needs_compiler
def test_description_names_the_compiler_and_what_it_does_not_compile(source, cache, monkeypatch):
    monkeypatch.setattr(native, "sources", lambda: [source])
    version = find_compiler().version
    assert native.describe() == version
    broken = source.with_name("broken.c")
    broken.write_text("no C")
    monkeypatch.setattr(native, "sources", lambda: [source, broken])
    assert native.describe().startswith(f"{version}; not for broken: {find_compiler().command[0]} fails: ")
    monkeypatch.setattr(native, "sources", lambda: [broken])
    assert native.describe().startswith("none: ")


@needs_compiler
@pytest.mark.parametrize("path", native.sources(), ids=lambda path: path.stem)
def test_each_source_of_the_package_compiles(path, monkeypatch):
    monkeypatch.setenv("CAPSNET_KERNELS", "auto")
    assert native.refuses(path) is None


def test_sources_lie_in_the_package_with_their_header():
    folder = Path(capsnet.__file__).parent
    assert (folder / "kernels" / "vectors.h").is_file()
    assert all(path.is_relative_to(folder) for path in native.sources())
