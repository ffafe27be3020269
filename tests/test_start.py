import os
import subprocess
import sys
from pathlib import Path

import pytest

from capsnet import start


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_modules_of_a_command_are_never_collected() -> None:
    program = """
import gc
from capsnet.start import keeping_modules
phases = []
gc.callbacks.append(lambda phase, info: phases.append(phase))
with keeping_modules():
    kept = [[number] for number in range(100_000)]
print(phases, gc.isenabled(), gc.get_freeze_count() > 100_000)
"""
    assert run(program) == "[] True True\n"


def test_modules_are_collected_at_exit_when_triton_is_among_them() -> None:
    program = """
import gc, sys
from capsnet.start import keeping_modules
with keeping_modules():
    sys.modules["triton"] = sys
print(gc.get_freeze_count())
"""
    assert run(program) == "0\n"


def test_collector_is_on_again_after_a_fault() -> None:
    program = """
import gc
from capsnet.start import keeping_modules
try:
    with keeping_modules():
        raise ModuleNotFoundError
except ModuleNotFoundError:
    print(gc.isenabled())
"""
    assert run(program) == "True\n"


@pytest.mark.parametrize(("call", "frozen"), [("main()", True), ("main(sys.argv[1:])", False)])
def test_collector_is_set_up_for_the_command_only(call: str, frozen: bool) -> None:
    program = f"import gc, sys; sys.argv = ['capsnet', 'list', 'models']; from capsnet.cli import main; {call}\n"
    program += "print(gc.get_freeze_count() > 0)"
    assert run(program).splitlines()[-1] == str(frozen)


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


def test_room_whose_extra_is_missing_is_an_attribute_that_is_missing() -> None:
    program = """
import importlib.util
importlib.util.find_spec = lambda name, find=importlib.util.find_spec: None if name == "lightning" else find(name)
import capsnet
print(hasattr(capsnet, "lightning"))
try:
    capsnet.lightning
except AttributeError as fault:
    print(fault)
"""
    assert run(program) == "False\ncapsnet.lightning needs an extra: pip install 'capsnet[lightning]'\n"
