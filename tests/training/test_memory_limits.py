import resource
from pathlib import Path

import pytest
import torch

import capsnet.free_memory
from capsnet.free_memory import memory_left
from capsnet.training import memory

MB = 1 << 20


@pytest.fixture(autouse=True)
def _no_other_limit(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def make_group(folder, most, used, files, *, second):
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if second else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    (folder / names[0]).write_text(f"{most}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\n{'' if second else 'total_'}inactive_file {files}\n")


@pytest.mark.parametrize("second", [True, False])
def test_limit_of_a_container_counts_without_its_file_pages(second, tmp_path):
    (tmp_path / "groups").write_text("0::/job/step\n" if second else "5:cpu:/\n4:memory,misc:/job/step\n")
    base = tmp_path if second else tmp_path / "memory"
    make_group(base / "job", 500 * MB, 300 * MB, 50 * MB, second=second)
    make_group(base / "job" / "step", "max" if second else 2**63 - 4096, 100 * MB, 0, second=second)
    assert memory_left(tmp_path, tmp_path / "groups") == 250 * MB


def test_limit_of_another_mount_is_found_at_its_root(tmp_path):
    (tmp_path / "groups").write_text("0::/outside/of/this/mount\n")
    make_group(tmp_path, 100 * MB, 60 * MB, 0, second=True)
    assert memory_left(tmp_path, tmp_path / "groups") == 40 * MB


def test_without_limits_there_is_none(tmp_path):
    assert memory_left(tmp_path, tmp_path / "groups") is None


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells what is used")
def test_limit_of_the_shell_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1 << 50, 1 << 50))
    left = memory_left(tmp_path, tmp_path / "groups")
    assert 0 < (1 << 50) - left < 1 << 46


def test_the_smaller_of_limit_and_free_memory_is_available(monkeypatch):
    monkeypatch.setattr(capsnet.free_memory, "memory_left", lambda: 3 * MB)
    assert memory.available_memory(torch.device("cpu")) == 3 * MB


def test_out_of_memory_is_known_by_its_error():
    refused = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: ...")
    assert memory.is_out_of_memory(refused)
    assert memory.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not memory.is_out_of_memory(RuntimeError("shapes differ"))
