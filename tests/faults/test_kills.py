"""A short pass of the campaign that `make faults` runs at length."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.commits import add_commit
from tests.faults.snapshots import left_over, snapshot

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="on macOS a forked process may not go on with PyTorch")
def test_commands_killed_at_any_instant_end_as_undisturbed_ones(tmp_path):
    # a process of its own: it forks, which needs a process without threads
    words = ["--kills", "6", "--only", "train", "data", "--seed", "1", "--out", str(tmp_path / "kills.json")]
    command = [sys.executable, "-m", "tests.faults.campaign", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    record = json.loads((tmp_path / "kills.json").read_text())
    assert record["kills"] >= 6
    assert [tally["lost"] for tally in record["commands"].values()] == [[], []]


def test_snapshots_differ_by_content_and_not_by_times(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "metrics.csv").write_text("step,loss,seconds\n1,0.5,2\n")
    (tmp_path / "a" / "table.json").write_text('{"rows": [{"errors": [1], "seconds": 3}]}')
    (tmp_path / "a" / "table.md").write_text("| 2 % | 31 s |\n\nTraining took 0.1 minutes in all.\n")
    before = snapshot(tmp_path)
    assert sorted(before) == ["a/metrics.csv", "a/table.json", "a/table.md"]
    (tmp_path / "a" / "metrics.csv").write_text("step,loss,seconds\n1,0.5,9\n")
    (tmp_path / "a" / "table.json").write_text('{"rows": [{"errors": [1], "seconds": 4}]}')
    (tmp_path / "a" / "table.md").write_text("| 2 % | 1,031 s |\n\nTraining took 17.2 minutes in all.\n")
    (tmp_path / "a" / ".table.json.part").write_text("")
    assert snapshot(tmp_path) == before
    assert left_over(tmp_path) == ["a/.table.json.part"]
    (tmp_path / "a" / "metrics.csv").write_text("step,loss,seconds\n1,0.6,9\n")
    assert snapshot(tmp_path) != before


def test_kills_are_counted_by_version_of_the_code():
    counts = add_commit(add_commit({}, "a", 3), "b", 5)
    assert counts == {"a": 3, "b": 2}
    assert add_commit(counts, "b", 6) == {"a": 3, "b": 3}
    assert add_commit(counts, "c", 5) == counts
