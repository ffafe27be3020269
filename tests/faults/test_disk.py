"""Disks that are full or cannot be written, for real: small file systems in memory, which root may mount."""

import shutil
import subprocess

import pytest
from safetensors.torch import load_file
from tests.conftest import TINY

from capsnet import Callback
from capsnet.cli import main
from capsnet.errors import UserError
from capsnet.runs import Run
from capsnet.runs.metrics import MetricsFile, read_metrics
from capsnet.training import train

MOST = 40_000_000
SHORT = "--model capsnet-tiny --steps 1 --limit 32"
LONGER = TINY.change(epochs=3, limit=64, test_limit=20)


@pytest.fixture
def disk(tmp_path):
    """A file system of 40 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MOST}", "capsnet-test", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class FillDisk(Callback):
    """Leave too little space for another checkpoint, once training has begun."""

    def __init__(self, file, left):
        self.file, self.left = file, left

    def on_row(self, row):
        if not self.file.exists():
            size = shutil.disk_usage(self.file.parent).free - self.left
            self.file.write_bytes(bytes(size))


@pytest.mark.parametrize("left", [0, 500_000])
def test_run_on_a_full_disk_goes_on_when_there_is_space(disk, tmp_path, left):
    train(LONGER.change(epochs=1), out=disk / "run")
    with pytest.raises(UserError, match=r"(no space left on the disk|No space left on device)"):
        train(LONGER, resume=disk / "run", callbacks=[FillDisk(disk / "filler", left)])
    (disk / "filler").unlink()
    resumed, undisturbed = train(LONGER, resume=disk / "run"), train(LONGER, out=tmp_path / "undisturbed")
    assert resumed.evaluation()["test"] == undisturbed.evaluation()["test"]
    weights, expected = load_file(resumed.weights_path), load_file(undisturbed.weights_path)
    assert all(weights[name].equal(tensor) for name, tensor in expected.items())
    assert [row["step"] for row in resumed.metrics()] == [row["step"] for row in undisturbed.metrics()]


def test_too_small_a_disk_is_refused_before_training(disk, capsys):
    (disk / "filler").write_bytes(bytes(MOST - 100_000))
    assert main(["train", "--steps", "1", "--out", str(disk / "run")]) == 2
    assert "no space left on the disk" in capsys.readouterr().err
    assert not (disk / "run").exists()


def test_read_only_disk_is_refused_in_one_line_and_left_as_it_is(disk, tiny_run, capsys):
    shutil.copytree(tiny_run.folder, disk / "run")
    held = {path: path.read_bytes() for path in (disk / "run").rglob("*") if path.is_file()}
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    run = str(disk / "run")
    commands = (
        ["train", "--resume", run],
        ["train", *SHORT.split(), "--out", str(disk / "new")],
        ["export", "efficient-capsnet-mnist", str(disk / "digits.h5"), "--format", "keras"],
        ["data", "digits", "--figure", str(disk / "digits.png")],
    )
    for command in commands:
        assert main(command) == 2, command
        error = capsys.readouterr().err.splitlines()[-1]
        assert "Read-only file system" in error, command
    assert {path: path.read_bytes() for path in (disk / "run").rglob("*") if path.is_file()} == held
    # what only reads still works
    assert Run.open(disk / "run").evaluation() == tiny_run.evaluation()


def test_metrics_cut_off_at_any_byte_go_on_whole(tmp_path):
    whole, cut = tmp_path / "whole.csv", tmp_path / "cut.csv"
    rows = [{"step": float(step), "epoch": step / 4, "loss": 1 / step} for step in (1, 2, 3)]
    for row in rows:
        MetricsFile(whole).append(row)
    text = whole.read_bytes()
    for end in range(len(text) + 1):
        cut.write_bytes(text[:end])
        # a checkpoint of step 1, after whose row the kill came
        MetricsFile(cut).drop_after(1)
        kept = [int(row["step"]) for row in read_metrics(cut)]
        assert kept in ([], [1])
        for row in rows[len(kept) :]:
            MetricsFile(cut).append(row)
        assert cut.read_bytes() == text
