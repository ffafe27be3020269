import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.conftest import TINY
from tests.training.test_loop import stop_after

from capsnet.errors import UserError
from capsnet.training import TensorBoard, train


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    return events.Reload()


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    run = train(TINY, out=tmp_path_factory.mktemp("runs") / "run", tensorboard=True)
    return run, read(run.folder / "tensorboard")


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("training/loss", "loss"),
        ("validation/accuracy", "validation_accuracy"),
        ("training/learning_rate", "learning_rate"),
    ],
)
def test_numbers_are_those_of_the_metrics(followed, tag, name):
    run, events = followed
    expected = [(row["step"], row[name]) for row in run.metrics() if name in row]
    got = [(event.step, event.value) for event in events.Scalars(tag)]
    assert got == [(step, pytest.approx(value, rel=1e-6)) for step, value in expected]


def test_test_result_configuration_and_reconstructions_are_there(followed):
    run, events = followed
    (error,) = events.Scalars("test/error_percent")
    assert (error.step, error.value) == (12, pytest.approx(run.evaluation()["test"]["error_percent"]))
    text = events.Tensors("configuration/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| batch_size | 32 |" in text
    pictures = events.Images("reconstructions")
    assert [(picture.step, picture.width, picture.height) for picture in pictures] == [(6, 224, 56), (12, 224, 56)]
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_resumed_run_goes_on_in_the_same_curves(tmp_path, monkeypatch):
    folder, one_epoch = tmp_path / "run", TINY.change(epochs=1)
    with monkeypatch.context() as patch:
        stop_after(4, patch)
        with pytest.raises(KeyboardInterrupt):
            train(one_epoch, out=folder, tensorboard=True)
    train(one_epoch, resume=folder, tensorboard=True)
    assert [event.step for event in read(folder / "tensorboard").Scalars("training/loss")] == list(range(1, 7))


def test_events_go_where_they_are_asked_for(tmp_path):
    run = train(TINY.change(steps=1), out=tmp_path / "run", callbacks=[TensorBoard(tmp_path / "logs")])
    assert "training/loss" in read(tmp_path / "logs").Tags()["scalars"]
    assert not (run.folder / "tensorboard").exists()


def test_without_tensorboard_the_extra_is_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'capsnet\[tensorboard\]'"):
        train(TINY, out=tmp_path / "run", tensorboard=True)
    assert not list(tmp_path.iterdir())
