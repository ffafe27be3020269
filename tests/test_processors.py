import os
from pathlib import Path

import pytest

from capsnet import processors


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups and the membership of this process in temporary files."""
    monkeypatch.setattr(processors, "_GROUPS", tmp_path)
    monkeypatch.setattr(processors, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(8), raising=False)
    # set first: only a variable that was there, or was set by it, is put back by `monkeypatch`
    monkeypatch.setenv("OMP_NUM_THREADS", "0")
    monkeypatch.delenv("OMP_NUM_THREADS")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("200000 100000\n", 2), ("150000 100000", 2), ("20000 100000", 1), ("6400000 100000", 8), ("max 100000\n", 8)],
)
def test_a_container_has_the_processors_of_its_quota(groups, limit, expected):
    write(groups / "membership", "0::/\n")
    write(groups / "cpu.max", limit)
    assert processors.count_processors() == expected


def test_the_lowest_quota_of_the_parents_counts(groups):
    write(groups / "membership", "0::/user.slice/user-1.slice/job.scope\n")
    write(groups / "user.slice" / "cpu.max", "300000 100000")
    write(groups / "user.slice" / "user-1.slice" / "job.scope" / "cpu.max", "500000 100000")
    assert processors.count_processors() == 3


@pytest.mark.parametrize(("quota", "expected"), [("250000", 3), ("-1", 8)])
def test_the_first_version_of_control_groups_is_read(groups, quota, expected):
    write(groups / "membership", "5:memory:/docker/1f\n4:cpu,cpuacct:/docker/1f\n")
    write(groups / "cpu,cpuacct" / "cpu.cfs_quota_us", quota)
    write(groups / "cpu,cpuacct" / "cpu.cfs_period_us", "100000")
    assert processors.count_processors() == expected


def test_without_control_groups_all_processors_count(groups):
    assert (processors.count_processors(), processors.find_quota()) == (8, None)


def test_threads_are_limited_by_a_quota_only(groups, monkeypatch):
    processors.limit_threads()
    assert "OMP_NUM_THREADS" not in os.environ
    write(groups / "membership", "no line of the kernel's\n0::/\n")
    write(groups / "cpu.max", "6400000 100000")
    processors.limit_threads()
    assert "OMP_NUM_THREADS" not in os.environ
    write(groups / "cpu.max", "300000 100000")
    processors.limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_threads_that_the_user_set_stay(groups, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    write(groups / "membership", "0::/\n")
    write(groups / "cpu.max", "300000 100000")
    processors.limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "5"
