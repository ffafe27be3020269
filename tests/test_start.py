import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsnet import start
from capsnet.start import collecting_later


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    gc.enable()


def test_nothing_is_collected_meanwhile_nor_at_once_afterwards() -> None:
    seen: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        seen.append(phase)

    gc.callbacks.append(note)
    try:
        with collecting_later():
            kept = [[number] for number in range(100_000)]
        # fewer new objects than a collection waits for
        after = [[number] for number in range(gc.get_threshold()[0] // 2)]
    finally:
        gc.callbacks.remove(note)
    assert seen == []
    assert len(kept) > len(after)


@pytest.mark.parametrize("enabled", [True, False])
def test_collecting_goes_on_as_it_was_even_after_a_fault(enabled: bool) -> None:
    if not enabled:
        gc.disable()
    with pytest.raises(ModuleNotFoundError), collecting_later():
        raise ModuleNotFoundError
    assert gc.isenabled() == enabled


def test_what_others_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with collecting_later():
            pass
        assert gc.get_freeze_count() >= frozen > 0
    finally:
        gc.unfreeze()


def test_nothing_is_left_frozen() -> None:
    with collecting_later():
        pass
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize(("first", "looked"), [("main(['--version'])", False), ("pass", True)])
def test_command_ends_without_looking_for_garbage(first: str, looked: bool) -> None:
    program = f"""
import os
from capsnet.cli import main
class Garbage:
    def __init__(self):
        self.itself = self
    def __del__(self, write=os.write):
        write(1, b"found")
{first}
garbage = Garbage()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ("found" in ended.stdout) == looked


def let_go(first: str, **environment: str) -> tuple[bool, float]:
    """What `first` says in a new process, and the megabytes that it then lets go when every other tensor is freed."""
    program = f"""
from pathlib import Path
import torch
from capsnet.start import return_memory
def held():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024
done = {first}
# by itself, glibc takes what was freed once for the usual size, and keeps such blocks
torch.ones(30 << 20, dtype=torch.uint8)
kept = [torch.ones(12 << 20, dtype=torch.uint8) for _ in range(20)]
before = held()
del kept[::2]
print(int(done), before - held())
"""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**quiet, **environment}
    )
    done, freed = ran.stdout.split()
    return done == "1", float(freed)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux counts a process's memory")
def test_freed_tensors_go_back_at_once() -> None:
    done, freed = let_go("return_memory()")
    if not done:
        pytest.skip("no glibc, or no huge pages")
    assert freed > 110
    assert let_go("False")[1] < 10


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux counts a process's memory")
@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_user_set_for_memory_stands(name: str) -> None:
    value = "1" if name == "MALLOC_ARENA_MAX" else "glibc.malloc.arena_max=1"
    assert let_go("return_memory()", **{name: value})[0] is False


@pytest.mark.parametrize("pages", ["always madvise [never]", None])
def test_without_huge_pages_memory_is_left_as_it_is(
    pages: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(start, "_HUGE_PAGES", tmp_path / "enabled")
    if pages is not None:
        (tmp_path / "enabled").write_text(pages)
    assert not start.return_memory()
