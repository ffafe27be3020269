"""A study goes on where it was, and does nothing when it is done."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from tests.studies.conftest import SHRUNK

from capsnet.cli import main
from capsnet.errors import UserError
from capsnet.studies import STUDIES, reproduce
from capsnet.studies.pool import devices
from capsnet.studies.run_task import run_task
from capsnet.training import Diverged
from capsnet.training.loop import Job


@pytest.fixture
def copied(done, study, tmp_path):
    return shutil.copytree(done[0], tmp_path / "study")


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_finished_study_keeps_what_its_table_needs(done):
    folder, _ = done
    assert sorted(path.name for path in (folder / "runs").iterdir()) == [
        "plain-seed0",
        "plain-seed1",
        "r1-seed0",
        "r1-seed1",
    ]
    for run in (folder / "runs").iterdir():
        assert not (run / "last").exists()
        assert (run / "weights.safetensors").exists()
        assert (run / "environment.json").exists()


def test_finished_study_does_nothing_when_run_again(copied, study, monkeypatch):
    before = times(copied)
    monkeypatch.setattr("capsnet.studies.run_task.train", lambda *args, **kwargs: 1 / 0)
    # of this process: others may use the processor
    started = time.process_time()
    reproduce(study, out=copied)
    assert times(copied) == before
    assert time.process_time() - started < 2


def test_command_prints_the_table_and_draws_it_once(copied, study, done, capsys):
    line = ["reproduce", study, "--out", str(copied), "--json"]
    assert main(line) == 0
    assert json.loads(capsys.readouterr().out) == done[1]
    before = times(copied)
    assert copied / "figure.png" in before
    assert main(line[:-1]) == 0
    assert "# two-rows, quick budget" in capsys.readouterr().out
    assert times(copied) == before


def test_table_is_written_where_it_is_missing(copied, study, done):
    (copied / "table.json").unlink()
    (copied / "table.md").unlink()
    assert reproduce(study, out=copied) == done[1]
    assert (copied / "table.md").read_text() == (done[0] / "table.md").read_text()


def test_small_drops_the_weights_and_keeps_the_numbers(copied, study, done):
    assert reproduce(study, out=copied, small=True) == done[1]
    assert {path.name for path in copied.rglob("*.safetensors")} == {"predictions.safetensors"}


def test_more_seeds_add_runs_and_leave_the_others(copied, study, monkeypatch):
    trained = []
    monkeypatch.setattr(
        "capsnet.studies.runner.run_task",
        lambda folder, config, stages: (trained.append(folder.name), run_task(folder, config, stages)),
    )
    table = reproduce(study, out=copied, seeds=3)
    assert trained == ["r1-seed2", "plain-seed2"]
    assert [row["n"] for row in table["rows"]] == [3, 3]


def test_study_killed_in_the_middle_goes_on_and_ends_as_one_never_killed(done, study, tmp_path):
    script = (
        "import os, signal\n"
        "from tests.studies.conftest import make_study\n"
        "from capsnet.studies import STUDIES, reproduce\n"
        "from capsnet.training.loop import Job\n"
        "from pathlib import Path\n"
        "STUDIES.add('two-rows', make_study())\n"
        "step = Job._step\n"
        "def killed(job, *args):\n"
        "    if job.state.step == 4 and job.run.folder.name == 'plain-seed0': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    step(job, *args)\n"
        "Job._step = killed\n"
        f"reproduce('two-rows', out=Path({str(tmp_path / 'study')!r}))\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    folder = tmp_path / "study"
    assert (folder / "runs" / "r1-seed0" / "evaluation.json").exists()
    assert (folder / "runs" / "plain-seed0" / "last").exists()
    assert not (folder / "runs" / "plain-seed0" / "evaluation.json").exists()
    kept = times(folder / "runs" / "r1-seed0")
    table = reproduce(study, out=folder)
    assert times(folder / "runs" / "r1-seed0").items() <= kept.items()
    assert [row["errors"] for row in table["rows"]] == [row["errors"] for row in done[1]["rows"]]


def test_run_killed_before_its_configuration_is_begun_anew(copied, study, done):
    shutil.rmtree(copied / "runs" / "r1-seed0")
    (copied / "runs" / "r1-seed0").mkdir()
    (copied / "runs" / "r1-seed0" / ".config.json.part").touch()
    assert reproduce(study, out=copied)["rows"][0]["errors"] == done[1]["rows"][0]["errors"]


def test_two_jobs_run_in_processes_of_their_own(copied, study, done, capfd):
    for seed in (0, 1):
        shutil.rmtree(copied / "runs" / f"plain-seed{seed}")
    table = reproduce(study, out=copied, jobs=2)
    assert table["rows"][1]["n"] == 2
    assert table["rows"][1]["parameters"] == done[1]["rows"][1]["parameters"]
    assert "  2/2  " in (copied / "logs" / "plain-seed1.log").read_text()
    said = capfd.readouterr().err
    assert "[4/4] plain-seed" in said
    assert "test error" in said


def test_failure_of_a_job_names_its_log(copied, study, monkeypatch):
    for seed in (0, 1):
        shutil.rmtree(copied / "runs" / f"plain-seed{seed}")
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    with pytest.raises(UserError, match=r"2 of 4 runs failed, .*: plain-seed0, see .*plain-seed0\.log; plain-seed1"):
        reproduce(study, out=copied, jobs=2)
    assert (copied / "logs" / "plain-seed0.log").is_file()
    assert json.loads((copied / "table.json").read_text())["rows"][1]["n"] == 0


def test_folder_that_is_no_run_is_refused(copied, study):
    (copied / "runs" / "plain-seed0" / "config.json").unlink()
    with pytest.raises(UserError, match=r"plain-seed0 is not a run folder, it has no config\.json"):
        reproduce(study, out=copied)


def test_run_that_diverges_is_named_and_the_others_go_on(copied, study, monkeypatch):
    for name in ("r1-seed0", "plain-seed1"):
        shutil.rmtree(copied / "runs" / name)

    def diverge(folder, config, stages):
        if folder.name == "r1-seed0":
            raise Diverged("the loss is not finite")
        return run_task(folder, config, stages)

    monkeypatch.setattr("capsnet.studies.runner.run_task", diverge)
    with pytest.raises(UserError, match=r"1 of 4 runs failed.*r1-seed0: the loss is not finite"):
        reproduce(study, out=copied)
    assert "| one iteration | 0.29 ± 0.011 % |" in (copied / "table.md").read_text()
    assert (copied / "runs" / "plain-seed1" / "evaluation.json").exists()


def test_folder_of_another_budget_is_refused(copied, study):
    with pytest.raises(UserError, match=r"another lr \(0.003, this command has 0.01\); give another `out`"):
        reproduce(study, out=copied, changes={"lr": 0.01})


def test_second_command_in_the_same_folder_is_refused(copied, study):
    shutil.rmtree(copied / "runs" / "r1-seed0")
    with (copied / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="is in use by another capsnet command"):
            reproduce(study, out=copied)


def test_interruption_says_that_the_same_command_goes_on(study, tmp_path, monkeypatch, capsys):
    step = Job._step

    def interrupted(job, *args):
        step(job, *args)
        if job.state.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Job, "_step", interrupted)
        assert main(["reproduce", study, "--out", str(tmp_path / "study")]) == 130
    assert "stopped in r1-seed0; repeat the same command to resume" in capsys.readouterr().err
    assert (tmp_path / "study" / "runs" / "r1-seed0" / "last").exists()


def test_gpus_go_to_jobs_in_turn_and_cores_are_divided(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    assert devices(3) == [{"OMP_NUM_THREADS": "2"}] * 3
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in devices(3)] == ["4", "6", "4"]


def test_shrunk_study_is_what_these_tests_think(study):
    assert STUDIES.get(study).budgets["quick"].changes == SHRUNK


def test_interruption_of_jobs_is_passed_on_and_waited_for(study, tmp_path, monkeypatch):
    worker = tmp_path / "worker"
    worker.write_text(
        f"#!/bin/sh\ntrap 'echo saved >> {tmp_path}/said; exit 130' INT\n"
        f"echo begun >> {tmp_path}/begun\nwhile :; do sleep 0.1; done\n"
    )
    worker.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(worker))

    def interrupt():
        begun, end = tmp_path / "begun", time.monotonic() + 60
        while time.monotonic() < end and (not begun.exists() or begun.read_text().count("begun") < 2):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Thread(target=interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt, match="repeat the same command to resume"):
        reproduce(study, out=tmp_path / "study", jobs=2)
    timer.join()
    assert (tmp_path / "said").read_text() == "saved\nsaved\n"


def _killed_worker(folder, times):
    """A program that is killed a number of times, then does what a worker does."""
    path = folder / "worker"
    path.write_text(
        f"#!/bin/sh\necho begun >> {folder}/begun\n"
        f'if [ $(wc -l < {folder}/begun) -le {times} ]; then kill -9 $$; fi\nexec {sys.executable} "$@"\n'
    )
    path.chmod(0o755)
    return str(path)


def test_job_whose_process_is_killed_is_resumed(copied, study, done, tmp_path, monkeypatch, capfd):
    shutil.rmtree(copied / "runs" / "plain-seed1")
    monkeypatch.setattr("sys.executable", _killed_worker(tmp_path, 2))
    table = reproduce(study, out=copied, jobs=2)
    assert table["rows"][1]["n"] == 2
    assert "plain-seed1: its process was killed (9); it is resumed (2 of 3)" in capfd.readouterr().err


def test_job_whose_process_is_killed_each_time_is_named(copied, study, tmp_path, monkeypatch):
    shutil.rmtree(copied / "runs" / "plain-seed1")
    monkeypatch.setattr("sys.executable", _killed_worker(tmp_path, 9))
    with pytest.raises(UserError, match=r"1 of 4 runs failed.*plain-seed1 was killed 4 times, see "):
        reproduce(study, out=copied, jobs=2)
    assert (tmp_path / "begun").read_text().count("begun") == 4


def test_table_of_another_study_is_kept(copied, study):
    path = copied / "table.json"
    path.write_text(path.read_text().replace(f'"study": "{study}"', '"study": "routing-iterations"'))
    with pytest.raises(UserError, match=r"is not the table of .* but routing-iterations"):
        reproduce(study, out=copied)


def test_files_that_are_no_table_are_kept(study, tmp_path):
    (tmp_path / "table.md").write_text("mine")
    with pytest.raises(UserError, match="exists, and is of no study"):
        reproduce(study, out=tmp_path)
