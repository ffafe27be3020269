import numpy as np
import pytest
from safetensors.torch import load_file
from tests.conftest import TINY

import capsnet
from capsnet.errors import UserError
from capsnet.training import Callback, CallbackError, train
from capsnet.training import loop as module
from capsnet.training.loop import Job


class Diary(Callback):
    """Writes down all that it is told."""

    def __init__(self):
        self.told, self.rows, self.validations = [], [], []

    def on_start(self, start):
        self.told.append("start")
        self.start = start

    def on_row(self, row):
        self.told.append("row")
        self.rows.append(row)

    def on_validation(self, validation):
        self.told.append("validation")
        self.validations.append(validation)

    def on_end(self, result):
        self.told.append("end")
        self.result = result


def calling(method, answer):
    """A callback whose method calls `answer` with what it is told."""
    return type("Odd", (Callback,), {method: lambda self, value: answer(value)})()


def fail(value):
    raise ZeroDivisionError("too bad")


def same_weights(one, two, name="weights.safetensors"):
    first, second = load_file(one.folder / name), load_file(two.folder / name)
    return first.keys() == second.keys() and all(first[key].equal(second[key]) for key in first)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    diary = Diary()
    return diary, train(TINY, out=str(tmp_path_factory.mktemp("runs") / "run"), callbacks=[diary])


def test_callback_is_told_of_start_rows_validations_and_end_in_order(followed):
    diary, run = followed
    assert diary.told == ["start", *["row"] * 6, "validation", *["row"] * 6, "validation", "end"]
    start = diary.start
    assert (start.folder, start.step, start.total_steps, start.steps_per_epoch) == (run.folder, 0, 12, 6)
    assert start.config == run.config.options()
    assert diary.result == run.evaluation()
    for told, written in zip(diary.rows, run.metrics(), strict=True):
        assert told == pytest.approx(written)
    assert [validation.step for validation in diary.validations] == [6, 12]
    assert diary.validations[1].accuracy == diary.rows[-1]["validation_accuracy"]
    assert max(v.step for v in diary.validations if v.improved) == run.evaluation()["best_step"]


def test_followed_run_equals_one_that_is_not_bit_for_bit(followed, tiny_run):
    assert same_weights(followed[1], tiny_run)
    assert same_weights(followed[1], tiny_run, "last/checkpoint.safetensors")


def test_callbacks_wait_until_the_loop_reads_its_numbers_anyway(tmp_path, monkeypatch):
    """Nothing is read from the device for their sake: without looks in between, rows come at the end of the epoch."""
    steps, seen = [], []
    whole = Job._step
    monkeypatch.setattr(module, "_READ_SECONDS", 1e9)
    monkeypatch.setattr(Job, "_step", lambda job, *args: (whole(job, *args), steps.append(job.state.step)))
    watch = calling("on_row", lambda row: seen.append((row["step"], len(steps))))
    train(TINY.change(epochs=1), out=tmp_path / "run", callbacks=[watch])
    assert seen == [(step, 6) for step in range(1, 7)]


def test_each_callback_gets_rows_of_its_own(tmp_path):
    diary = Diary()
    train(TINY.change(steps=2), out=tmp_path / "run", callbacks=[calling("on_row", lambda row: row.clear()), diary])
    assert [row["step"] for row in diary.rows] == [1, 2]


def test_run_ended_by_a_validation_is_tested_and_goes_on_when_resumed(tmp_path, tiny_run):
    diary = Diary()
    run = train(
        TINY, out=tmp_path / "run", callbacks=[calling("on_validation", lambda validation: np.bool_(True)), diary]
    )
    assert run.evaluation()["step"] == run.evaluation()["best_step"] == 6
    assert diary.told[-2:] == ["validation", "end"]
    assert train(TINY, resume=run.folder).evaluation()["test"] == tiny_run.evaluation()["test"]
    assert same_weights(run, tiny_run)


def test_run_ended_by_a_row_validates_one_step_later(tmp_path, tiny_run, monkeypatch):
    monkeypatch.setattr(module, "_READ_SECONDS", -1.0)
    run = train(TINY, out=tmp_path / "run", callbacks=[calling("on_row", lambda row: row["step"] == 3)])
    assert run.evaluation()["step"] == 4
    assert [row["step"] for row in run.metrics()] == [1, 2, 3, 4]
    assert "validation_accuracy" in run.metrics()[-1]
    train(TINY, resume=run.folder)
    assert same_weights(run, tiny_run, "last/checkpoint.safetensors")


@pytest.mark.parametrize("method", ["on_start", "on_row", "on_validation"])
def test_callback_that_fails_is_named_and_the_run_goes_on_bit_for_bit(method, tmp_path, tiny_run, monkeypatch):
    monkeypatch.setattr(module, "_READ_SECONDS", -1.0)
    diary = Diary()
    said = rf"callback Odd: its {method} failed with ZeroDivisionError: too bad; the run is saved; go on with capsnet"
    with pytest.raises(CallbackError, match=said) as caught:
        train(TINY, out=tmp_path / "run", callbacks=[calling(method, fail), diary])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert diary.result is None
    run = train(TINY, resume=tmp_path / "run")
    assert same_weights(run, tiny_run)
    assert [row["step"] for row in run.metrics()] == list(range(1, 13))


def test_callback_that_fails_at_the_end_leaves_a_finished_run_and_the_others_told(tmp_path):
    diary = Diary()
    with pytest.raises(CallbackError, match=r"its on_end failed .* the run is finished and complete in"):
        train(TINY.change(steps=1), out=tmp_path / "run", callbacks=[calling("on_end", fail), diary])
    assert diary.result == capsnet.Run.open(tmp_path / "run").evaluation()


def test_callback_that_fails_after_another_fault_does_not_hide_it(tmp_path, monkeypatch):
    monkeypatch.setattr(Job, "_step", lambda job, *args: [][0])
    with pytest.raises(IndexError) as caught:
        train(TINY, out=tmp_path / "run", callbacks=[calling("on_end", fail)])
    assert "its on_end failed with ZeroDivisionError" in caught.value.__notes__[0]


def test_answer_that_is_neither_yes_nor_no_is_refused(tmp_path):
    with pytest.raises(CallbackError, match="its on_row must return True, to end the run, or None, got 7"):
        train(TINY.change(steps=1), out=tmp_path / "run", callbacks=[calling("on_row", lambda row: 7)])


def test_what_is_no_callback_is_refused_before_any_work(tmp_path, unchecked):
    for wrong, named in ((Diary, "the class Diary"), (print, "<built-in function print>")):
        with pytest.raises(UserError, match=f"derived from capsnet.Callback, got {named}"):
            train(TINY, out=tmp_path / "run", callbacks=[wrong])
    assert not list(tmp_path.iterdir())
