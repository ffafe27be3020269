import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

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
