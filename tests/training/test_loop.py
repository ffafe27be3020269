import errno
import os
import shutil
import signal
import threading

import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import TINY
from torch import nn
from torch.nn import functional

from capsnet.bounds import Bound
from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.cli.train import _print_result
from capsnet.data import load_data
from capsnet.errors import UserError
from capsnet.losses import margin as objective
from capsnet.runs import Run
from capsnet.runs.bounds import BOUNDS
from capsnet.runs.lock import FolderLock
from capsnet.training import Diverged, progress, train
from capsnet.training import loop as module
from capsnet.training import run as run_module
from capsnet.training.loop import Job
from capsnet.training.stop import stop_on_signal


def test_run_leaves_everything(tiny_run):
    for name in ("config.json", "environment.json", "metrics.csv", "weights.safetensors", "evaluation.json"):
        assert (tiny_run.folder / name).is_file()
    assert (tiny_run.folder / "last" / "checkpoint.safetensors").is_file()
    assert not list(tiny_run.folder.rglob("*.part"))


def test_learning_happens(tiny_run):
    rows = tiny_run.metrics()
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert tiny_run.evaluation()["test"]["accuracy"] > 0.3


def test_each_epoch_ends_with_a_validated_row(tiny_run):
    validated = [row["epoch"] for row in tiny_run.metrics() if "validation_accuracy" in row]
    assert validated == [1.0, 2.0]
    steps = [row["step"] for row in tiny_run.metrics()]
    assert steps == sorted(set(steps))


def test_best_weights_are_those_of_the_best_validation(tiny_run):
    result = tiny_run.evaluation()
    rows = [row for row in tiny_run.metrics() if "validation_accuracy" in row]
    best = max(rows, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    assert result["best_step"] == best["step"]
    assert result["validation"]["accuracy"] == pytest.approx(best["validation_accuracy"])


def stop_after(step, monkeypatch):
    """Send this process a Ctrl-C while it is in the step with this number."""
    whole = Job._step

    def interrupted(job, *args):
        whole(job, *args)
        if job.state.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Job, "_step", interrupted)


@pytest.mark.parametrize("step", [4, 6, 9])
def test_resumed_run_equals_one_that_was_never_stopped_bit_for_bit(step, tiny_run, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_after(step, patch)
        with pytest.raises(KeyboardInterrupt, match=f"stopped at step {step}; go on with: capsnet train --resume"):
            train(TINY, out=folder)
    run = train(TINY, resume=folder)
    for name in ("weights.safetensors", "last/checkpoint.safetensors"):
        expected, got = load_file(tiny_run.folder / name), load_file(folder / name)
        assert expected.keys() == got.keys()
        assert all(got[key].equal(expected[key]) for key in expected), name
    times = ("seconds", "images_per_second")
    rows = [[{k: v for k, v in row.items() if k not in times} for row in r.metrics()] for r in (run, tiny_run)]
    assert rows[0] == rows[1]
    assert run.evaluation()["test"] == tiny_run.evaluation()["test"]


def test_resumed_run_of_sgd_equals_one_that_was_never_stopped(tmp_path, monkeypatch):
    changes = {"schedule": "step", "lr_decay": 0.1, "lr_milestones": (1,), "lr": 0.05}
    config = TINY.change(optimizer="sgd", weight_decay=5e-4, **changes)
    whole = train(config, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(4, patch)
        with pytest.raises(KeyboardInterrupt):
            train(config, out=tmp_path / "run")
    run = train(config, resume=tmp_path / "run")
    expected, got = (load_file(r.folder / "last" / "checkpoint.safetensors") for r in (whole, run))
    assert any(name.endswith("momentum_buffer") for name in expected)
    assert expected.keys() == got.keys()
    assert all(got[name].equal(expected[name]) for name in expected)
    rates = [row["learning_rate"] for row in run.metrics()]
    assert (rates[0], rates[-1]) == pytest.approx((0.05, 0.005))


def test_run_ends_after_the_epoch_that_reaches_an_accuracy_however_often_it_is_stopped(tmp_path, monkeypatch):
    one_epoch = train(TINY.change(epochs=1), out=tmp_path / "one")
    config = TINY.change(epochs=4, stop_at=one_epoch.evaluation()["validation"]["accuracy"])
    whole = train(config, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(4, patch)
        with pytest.raises(KeyboardInterrupt):
            train(config, out=tmp_path / "run")
    resumed = train(config, resume=tmp_path / "run")
    for run in (whole, resumed):
        result = run.evaluation()
        assert result["step"] == result["best_step"] == 6
        assert result["validation"]["accuracy"] == config.optimizer.stop_at
        assert result["test"] == result["test_last"] == one_epoch.evaluation()["test"]
    weights = (load_file(run.weights_path) for run in (whole, resumed))
    assert all(one.equal(two) for one, two in zip(*(tensors.values() for tensors in weights), strict=True))
    before = whole.weights_path.stat().st_mtime_ns
    assert not train(config, resume=whole.folder).weights_path.stat().st_mtime_ns > before


def test_run_killed_between_its_accuracy_and_its_test_is_only_tested(tmp_path, monkeypatch):
    config = TINY.change(epochs=4, stop_at=0.01)
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "_test", lambda job, dataset: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, out=tmp_path / "run")
    monkeypatch.setattr(Job, "_step", lambda *args: 1 / 0)
    result = train(config, resume=tmp_path / "run").evaluation()
    assert result["step"] == result["best_step"] == 6
    assert result["test"] == result["test_last"]


def test_run_that_never_reaches_the_accuracy_ends_at_its_length_and_says_so(tiny_run, tmp_path, capsys):
    run = train(TINY.change(stop_at=1.0), out=tmp_path / "run")
    assert run.evaluation()["step"] == 12
    assert run.evaluation()["test"] == tiny_run.evaluation()["test"]
    _print_result(run, has_report=False)
    assert "--stop-at 1 was not reached" in capsys.readouterr().out


def test_run_killed_between_two_files_is_resumed_bit_for_bit(tiny_run, tmp_path, monkeypatch):
    """The kill comes after rows were written and before the checkpoint that goes with them."""

    class Killed(BaseException):
        pass

    def kill(job):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Job, "_save", kill)
        with pytest.raises(Killed):
            train(TINY, out=tmp_path / "run")
    with (tmp_path / "run" / "metrics.csv").open("a") as file:
        file.write("7,1.1")
    train(TINY, resume=tmp_path / "run")
    got = (load_file(folder / "weights.safetensors") for folder in (tmp_path / "run", tiny_run.folder))
    assert all(one.equal(two) for one, two in zip(*(tensors.values() for tensors in got), strict=True))


def test_finished_run_is_left_alone_and_may_be_made_longer(tiny_run, tmp_path):
    run = train(TINY.change(epochs=1), out=tmp_path / "run")
    before = (run.folder / "weights.safetensors").stat().st_mtime_ns
    train(TINY.change(epochs=1), resume=run.folder)
    assert (run.folder / "weights.safetensors").stat().st_mtime_ns == before
    train(TINY, resume=run.folder)
    assert Run.open(run.folder).config.optimizer.epochs == 2
    assert run.evaluation()["test"] == tiny_run.evaluation()["test"]


def test_loss_that_is_not_finite_stops_with_step_and_cause_and_keeps_the_last_good_state(tmp_path, monkeypatch):
    whole = objective.margin_loss
    calls = []

    def poisoned(*arguments, **options):
        calls.append(1)
        return whole(*arguments, **options) * (float("nan") if len(calls) == 8 else 1.0)

    config = TINY.change(validation=0)
    with monkeypatch.context() as patch:
        patch.setattr(objective, "margin_loss", poisoned)
        with pytest.raises(Diverged, match=r"not finite at step 8, .* smaller `lr` \(the last good state is kept in"):
            train(config, out=tmp_path / "run")
    tensors = load_file(tmp_path / "run" / "last" / "checkpoint.safetensors")
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert train(config, resume=tmp_path / "run").evaluation()["step"] == 12


def test_without_validation_all_images_are_used_and_the_last_weights_kept(tmp_path):
    run = train(TINY.change(validation=0, limit=None, epochs=1, steps=3), out=tmp_path / "run")
    assert "validation" not in run.evaluation()
    assert run.evaluation()["best_step"] == run.evaluation()["step"] == 3


def test_test_split_is_never_looked_at_before_the_end(tmp_path, monkeypatch):
    test = load_data("digits").test.images
    seen = []
    whole = module.evaluate_part

    def watched(model, data, pairing, **options):
        seen.append((options["split"], data.images.shape == test.shape and bool(data.images.equal(test))))
        return whole(model, data, pairing, **options)

    monkeypatch.setattr(module, "evaluate_part", watched)
    train(TINY, out=tmp_path / "run")
    assert seen[:2] == [("validation", False), ("validation", False)]
    assert {*seen[2:]} == {("test", True)}


def test_training_works_outside_the_main_thread(tmp_path):
    failures = []

    def work():
        try:
            train(TINY.change(steps=1), out=tmp_path / "run")
        except BaseException as fault:
            failures.append(fault)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failures


def test_limited_images_are_drawn_from_all_classes(photos, tmp_path, monkeypatch):
    counts = []
    monkeypatch.setattr(Job, "train", lambda job: counts.append(job.batches.data.counts()))
    monkeypatch.setattr(run_module, "_test", lambda job, dataset: None)
    train(TINY.change(data=str(photos), limit=18), out=tmp_path / "run")
    assert sum(counts[0]) == 18
    assert min(counts[0]) > 0


def test_existing_folder_is_refused_before_any_work(tmp_path):
    (tmp_path / "letter.txt").write_text("of value")
    with pytest.raises(UserError, match="exists; give another `out`, or go on with resume="):
        train(TINY.change(data="no such data"), out=tmp_path)


def test_network_that_would_not_fit_is_refused_before_it_is_allocated(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("capsnet.training.device.available_memory", lambda device: 8 << 30)
    config = TINY.change(data=str(photos), image_size=700, model="capsnet", batch_size=128)
    with pytest.raises(UserError, match=r"GB are free: .* capsules vote for 3 classes, .*image_size"):
        train(config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_full_disk_is_refused_before_the_start(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
        with pytest.raises(UserError, match="no space left on the disk"):
            train(TINY, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def poison(job, value):
    with torch.no_grad():
        next(job.model.parameters()).fill_(value)


@pytest.mark.parametrize(("validation", "value"), [(0, float("nan")), (0.1, float("inf")), (0, 1e38), (0.1, 1e38)])
def test_weights_that_explode_in_the_last_step_of_an_epoch_are_not_saved(validation, value, tmp_path, monkeypatch):
    """The loss of that step, from the weights before it, is still finite."""
    whole = Job._step

    def exploding(job, *args):
        whole(job, *args)
        if job.state.step == 2 * job.steps_per_epoch:
            poison(job, value)

    config = TINY.change(validation=validation)
    with monkeypatch.context() as patch:
        patch.setattr(Job, "_step", exploding)
        with pytest.raises(Diverged, match=r"not finite at step 12, .* \(the last good state is kept in"):
            train(config, out=tmp_path / "run")
    files = [tmp_path / "run" / name for name in ("weights.safetensors", "last/checkpoint.safetensors")]
    assert all(tensor.isfinite().all() for file in files for tensor in load_file(file).values())
    assert train(config, resume=tmp_path / "run").evaluation()["step"] == 12


@pytest.mark.parametrize("validation", [0, 0.1])
def test_weights_that_explode_in_the_last_step_end_the_run_as_diverged(validation, tmp_path, monkeypatch):
    # above what a configuration allows
    monkeypatch.setitem(BOUNDS, "lr", Bound(0, 1e31))
    with pytest.raises(Diverged, match="not finite at step 1"):
        train(TINY.change(lr=1e30, steps=1, validation=validation), out=tmp_path / "run")
    assert not (tmp_path / "run" / "evaluation.json").exists()


def test_run_made_longer_and_stopped_in_its_test_is_tested_again(tiny_run, tmp_path, monkeypatch):
    run = train(TINY.change(epochs=1), out=tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "_test", lambda job, dataset: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(TINY, resume=run.folder)
    assert (run.folder / "evaluation.json").is_file()
    assert run.evaluation() is None
    assert train(TINY, resume=run.folder).evaluation()["test"] == tiny_run.evaluation()["test"]


def test_second_process_on_a_run_is_refused_and_names_the_first(tiny_run):
    with FolderLock(tiny_run.folder), pytest.raises(UserError, match=f"process {os.getpid()} on .* is at work"):
        train(TINY, resume=tiny_run.folder)
    train(TINY, resume=tiny_run.folder)


def test_run_is_locked_while_it_trains(tmp_path, monkeypatch):
    def try_to_lock(job):
        with pytest.raises(UserError, match="is at work on this run"):
            FolderLock(job.run.folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "train", try_to_lock)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, out=tmp_path / "run")
    FolderLock(tmp_path / "run").release()


def test_environment_is_there_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(Job, "train", lambda job: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(TINY, out=tmp_path / "run")
    assert Run.open(tmp_path / "run").environment()["device"] == "cpu"


def test_resume_needs_no_more_space_than_a_second_checkpoint(tmp_path, monkeypatch):
    train(TINY.change(epochs=1), out=tmp_path / "run")
    files = [tmp_path / "run" / name for name in ("weights.safetensors", "last/checkpoint.safetensors")]
    free = files[1].stat().st_size + 10_000
    assert free < sum(file.stat().st_size for file in files)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": free})())
    assert train(TINY, resume=tmp_path / "run").evaluation()["step"] == 12


def test_end_of_the_terminal_saves_as_ctrl_c_does(tmp_path, monkeypatch):
    whole = Job._step

    def hung_up(job, *args):
        whole(job, *args)
        if job.state.step == 4:
            os.kill(os.getpid(), signal.SIGHUP)

    def gone(display, moment):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Job, "_step", hung_up)
    monkeypatch.setattr(progress._Log, "show", gone)
    with pytest.raises(KeyboardInterrupt, match="stopped at step 4"):
        train(TINY, out=tmp_path / "run")
    assert (tmp_path / "run" / "last" / "checkpoint.safetensors").is_file()


def test_nohup_stays_in_force():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
        assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_relative_data_folder_is_stored_as_an_absolute_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = train(TINY.change(data_dir="mine", limit=20, epochs=None, steps=1), out=tmp_path / "run")
    assert run.config.data.data_dir == str(tmp_path / "mine")


def test_finished_run_without_its_checkpoint_is_not_begun_anew(tiny_run, tmp_path):
    folder = shutil.copytree(tiny_run.folder, tmp_path / "run")
    shutil.rmtree(folder / "last")
    before = (folder / "metrics.csv").read_bytes(), (folder / "weights.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"is finished and has no checkpoint .* start_from="):
        train(TINY.change(epochs=3), resume=folder)
    assert ((folder / "metrics.csv").read_bytes(), (folder / "weights.safetensors").read_bytes()) == before


@pytest.mark.parametrize(
    ("recipe_or_config", "message"),
    [
        (TINY.change(lr=0.1), r"lr cannot change on resume: the run has 0.003, got 0.1"),
        (TINY.change(seed=2, epochs=3), "seed cannot change on resume"),
        ("sabour2017-mnist", "began with the recipe custom, got sabour2017-mnist"),
    ],
)
def test_resumed_run_keeps_its_configuration(recipe_or_config, message, tiny_run):
    before = (tiny_run.folder / "config.json").read_bytes()
    with pytest.raises(UserError, match=message):
        train(recipe_or_config, resume=tiny_run.folder)
    assert (tiny_run.folder / "config.json").read_bytes() == before


def test_dropout_of_any_kind_draws_the_same_after_a_stop(tmp_path, monkeypatch):
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(3)
            self.layer = nn.Conv2d(1, 40, 28)

        def forward(self, images):
            poses = functional.dropout(self.layer(images).reshape(-1, 10, 4), 0.3, self.training)
            return CapsNetOutput(Capsules(poses, poses.norm(dim=-1)), poses.norm(dim=-1), None)

    data = load_data("digits")
    options = {"data": data, "steps": 4, "limit": 64, "batch_size": 32, "shift": 0}
    whole = train(model=Noisy(), out=tmp_path / "whole", **options)
    torch.rand(7)
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            train(model=Noisy(), out=tmp_path / "stopped", **options)
    resumed = train(model=Noisy(), data=data, resume=tmp_path / "stopped")
    assert (whole.folder / "weights.safetensors").read_bytes() == (resumed.folder / "weights.safetensors").read_bytes()
