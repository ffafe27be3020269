"""Training of segmentation models and of models of sequences, through `capsnet.train` and `capsnet train`."""

import json
import os
import shutil
import signal

import pytest
import torch
from safetensors import SafetensorError
from tests.cli.test_cli import call
from tests.conftest import TINY_MASKS
from tests.data.sounds import write_tone
from tests.data.test_mask_folder import write
from tests.data.test_recordings import SERIES

import capsnet
from capsnet import Callback, UserError
from capsnet.data.mask_splits import load_masks
from capsnet.data.recordings import load_recordings
from capsnet.functional import dice_score
from capsnet.models import SegmentationModel, load_segmenter, load_sequence_model
from capsnet.runs.metrics import read_metrics
from capsnet.runs.results import read_mask_result
from capsnet.training.finite import Diverged
from capsnet.training.learners import MaskLearner
from capsnet.training.other_inputs import PlainLoop

TINY = TINY_MASKS


def test_a_run_of_masks_holds_weights_metrics_and_dice(masks_run, scans):
    result = read_mask_result(masks_run.folder)
    model, test = load_segmenter(masks_run.weights_path), load_masks(scans, (8, 8)).test
    images, masks = (torch.stack(part) for part in zip(*test, strict=True))
    predicted = model.segment(images)
    dice = dice_score(predicted.flatten(1, 2), masks.flatten(1, 2))
    assert result["test"]["dice"] == pytest.approx(float(dice.mean()))
    both = 2 * (predicted & masks).sum(dim=(0, 2, 3)) / (predicted.sum(dim=(0, 2, 3)) + masks.sum(dim=(0, 2, 3)))
    assert [row["dice"] for row in result["test"]["classes"]] == pytest.approx(both.tolist())
    assert model.class_names == ("left", "right")
    rows = read_metrics(masks_run.folder / "metrics.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    best = max(row["validation_dice"] for row in rows)
    assert result["validation"]["dice"] == pytest.approx(best)
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_training_images_are_those_of_neither_validation_nor_test(masks_run, scans):
    record = json.loads((masks_run.folder / "splits.json").read_text())
    names = [name for split in ("train", "validation", "test") for name in record[split]]
    assert len(names) == len(set(names)) == 20
    assert tuple(record["test"]) == load_masks(scans, (8, 8)).test.files


def test_a_resumed_run_has_the_weights_of_one_in_one_go(masks_run, scans, tmp_path, monkeypatch):
    measure = MaskLearner.measure_batch
    steps = []

    def stop_in_the_middle(learner, batch):
        steps.append(len(batch))
        if len(steps) == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return measure(learner, batch)

    monkeypatch.setattr(MaskLearner, "measure_batch", stop_in_the_middle)
    with pytest.raises(KeyboardInterrupt, match="stopped at step 6; go on with"):
        capsnet.train(data=scans, out=tmp_path / "b", epochs=4, lr=0.02, **TINY)
    run = capsnet.train(resume=tmp_path / "b")
    checkpoints = [(folder / "last" / "checkpoint.safetensors") for folder in (masks_run.folder, run.folder)]
    one, other = (capsnet.runs.weights.read_tensors(file)[0] for file in checkpoints)
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    columns = ("step", "loss", "dice", "validation_dice")
    assert [[row[name] for name in columns] for row in run.metrics()] == [
        [row[name] for name in columns] for row in masks_run.metrics()
    ]


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_run_is_not_resumed_to_fewer_steps_than_it_has(kind, masks_run, tiny_run, tmp_path):
    original = tiny_run if kind == "images" else masks_run
    run = shutil.copytree(original.folder, tmp_path / "run")
    before = (run / "config.json").read_bytes()
    with pytest.raises(UserError, match="steps, more than the 1 of epochs and steps; give at least as many"):
        capsnet.train(resume=run, steps=1)
    assert (run / "config.json").read_bytes() == before


def test_a_run_is_not_resumed_on_other_images(scans, tmp_path):
    for number in range(6):
        write(tmp_path, f"{number}", [[0, 1], [1, 1]])
    (tmp_path / "run").mkdir()
    run = capsnet.train(data=tmp_path, out=tmp_path / "runs", steps=1, **TINY)
    with pytest.raises(UserError, match="does not hold the same files as when"):
        capsnet.train(data=scans, resume=run.folder, steps=2)


def test_a_run_of_recordings_predicts_them(capsys, sounds, sounds_run):
    test = sounds_run.evaluation()["test"]
    confusion = torch.tensor(test["confusion"])
    assert test["accuracy"] == float(confusion.trace() / confusion.sum())
    assert int(confusion.sum()) == len(load_recordings(sounds).test) == test["n"]
    model = load_sequence_model(sounds_run.weights_path)
    assert (model.class_names, model.preparation.rate) == (("high", "low"), 8000)
    file = sounds / "low" / "1.wav"
    with torch.no_grad():
        label = int(model(model.preparation.read(file)[None]).lengths.argmax())
    status, out, _ = call(capsys, "predict", sounds_run.folder, file)
    assert status == 0
    assert out.startswith(f"{file}: {model.class_names[label]}  (")


def test_a_run_of_series_is_printed(capsys, tmp_path):
    (tmp_path / "Small.ts").write_text(SERIES.replace(":", ",3,4,5,6:"))
    status, out, _ = call(capsys, "train --steps 1 --out", tmp_path / "run", "--data", tmp_path / "Small.ts")
    assert status == 0
    assert "of 4 series (95 % interval" in out
    assert "capsnet predict" not in out


def test_a_recording_too_short_for_the_model_is_named(sounds, tmp_path):
    (tmp_path / "train").symlink_to(sounds)
    write_tone(tmp_path / "test" / "low" / "short.wav", 300, samples=400)
    with pytest.raises(UserError, match=r"test/low/short\.wav has 2 steps, the model needs 5; remove it"):
        capsnet.train("sequence-capsnet", data=tmp_path, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shift": 2}, "shift must be left out: it is for networks that classify images"),
        ({"callbacks": [Callback()]}, "callbacks must be left out"),
        ({"model": "capsnet"}, "model must be one of segcaps, segcaps-r1"),
        ({"model": "sequence-capsnet"}, "data must be a folder of WAV files in class folders"),
        ({"model_options": {"num_classes": 3}}, "model option num_classes must be left out"),
        ({"image_size": 30}, "sides of images must be multiples of 8"),
    ],
)
def test_what_has_no_effect_is_refused(scans, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        capsnet.train(data=scans, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_flags_for_images_are_refused(capsys, scans):
    for words, message in (
        ("segcaps-small --tensorboard", "--tensorboard must be left out"),
        ("sabour2017-mnist", "the recipe sabour2017-mnist is for images with one class"),
    ):
        status, _, err = call(capsys, f"train {words} --data {scans}")
        assert (status, message in err) == (2, True)
    status, _, err = call(capsys, "train segcaps-small")
    assert (status, "--data must be a folder of images/ and masks/ for the model segcaps-small" in err) == (2, True)


def test_a_loss_that_is_not_finite_ends_the_run(scans, tmp_path, monkeypatch):
    nan = torch.tensor(float("nan"), requires_grad=True)
    monkeypatch.setattr(MaskLearner, "measure_batch", lambda learner, batch: (nan, nan))
    with pytest.raises(Diverged, match="the loss is not finite at step 1"):
        capsnet.train(data=scans, out=tmp_path / "run", **TINY)


def test_weights_that_are_not_finite_are_never_saved(scans, tmp_path, monkeypatch):
    def break_weights(learner, batch):
        with torch.no_grad():
            next(learner.model.parameters()).fill_(torch.inf)
        zero = sum(parameter.sum() for parameter in list(learner.model.parameters())[1:]) * 0
        return zero, zero.detach()

    capsnet.train(data=scans, out=tmp_path / "run", **{**TINY, "steps": 1})
    before = (tmp_path / "run/last/checkpoint.safetensors").read_bytes()
    monkeypatch.setattr(MaskLearner, "measure_batch", break_weights)
    with pytest.raises(Diverged, match="the weights are not finite at step 2"):
        capsnet.train(resume=tmp_path / "run", steps=2)
    assert (tmp_path / "run/last/checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize("data", ["scans", "digits"])
def test_a_resumed_run_takes_no_other_folder(scans, tmp_path, data):
    with pytest.raises(UserError, match="out must be left out with resume="):
        capsnet.train(data=scans if data == "scans" else data, resume=tmp_path / "run", out=tmp_path / "other")


def test_show_prints_the_dice_of_each_class(capsys, masks_run):
    status, out, _ = call(capsys, "show", masks_run.folder)
    assert status == 0
    assert f"test Dice {100 * read_mask_result(masks_run.folder)['test']['dice']:.2f} %" in out


@pytest.mark.parametrize(
    ("verb", "message"), [("analyse", "use capsnet report"), ("show --epochs", "use capsnet figures")]
)
def test_commands_for_images_name_another_command(capsys, masks_run, verb, message):
    status, _, err = call(capsys, verb, masks_run.folder)
    assert (status, len(err.splitlines())) == (2, 1)
    assert message in err


def test_test_before_an_extension_is_not_the_result(masks_run, tmp_path):
    folder = shutil.copytree(masks_run.folder, tmp_path / "run")
    assert read_mask_result(folder) is not None
    last = (folder / "metrics.csv").read_text().splitlines()[-1]
    step, rest = last.split(",", 1)
    with (folder / "metrics.csv").open("a") as file:
        file.write(f"{int(float(step)) + 1},{rest}\n")
    assert read_mask_result(folder) is None


def test_finished_run_of_masks_without_its_checkpoint_is_not_begun_anew(masks_run, tmp_path):
    folder = shutil.copytree(masks_run.folder, tmp_path / "run")
    shutil.rmtree(folder / "last")
    with pytest.raises(UserError, match="is finished and has no checkpoint"):
        capsnet.train(resume=folder, epochs=9)


def test_path_of_resumed_data_is_recorded_as_absolute(masks_run, scans, tmp_path, monkeypatch):
    folder = shutil.copytree(masks_run.folder, tmp_path / "run")
    monkeypatch.chdir(scans.parent)
    assert capsnet.train(resume=folder, data=scans.name).config.data.name == str(scans)


def test_several_processes_are_refused(scans, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        UserError, match="segmentation models are trained by one process, got 2; run the command without"
    ):
        capsnet.train(data=scans, out=tmp_path / "run", **TINY)
    assert not (tmp_path / "run").exists()


def test_a_run_records_its_default_length_and_its_precision(scans, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(PlainLoop, "train", lambda loop: loop._save_weights())
    run = capsnet.train(data=scans, out=tmp_path / "run", **TINY)
    config = capsnet.Run.open(run.folder).config
    assert config.optimizer.epochs == config.optimizer.total_epochs(-(-len(MaskLearner(config).train) // 4)) >= 20
    assert config.run.precision == "fp32"
    _, out, _ = call(capsys, "show", run.folder)
    assert f"{config.optimizer.epochs} epochs in batches of 4" in out


def test_no_memory_and_a_full_disk_are_one_line(scans, tmp_path, monkeypatch):
    def fail(error):
        def raise_it(*given):
            raise error

        return raise_it

    with monkeypatch.context() as patch:
        patch.setattr(MaskLearner, "measure_batch", fail(MemoryError()))
        with pytest.raises(UserError, match="out of memory with 4 samples at a time; use a batch_size of 2"):
            capsnet.train(data=scans, out=tmp_path / "a", steps=1, **TINY)
    monkeypatch.setattr(SegmentationModel, "save", fail(SafetensorError("No space left on device")))
    with pytest.raises(UserError, match=r"weights\.safetensors cannot be written \(No space left on device\)"):
        capsnet.train(data=scans, out=tmp_path / "b", steps=1, **TINY)
    monkeypatch.setattr("capsnet.disk_space.free_space", lambda folder: 0)
    with pytest.raises(UserError, match="no space left on the disk"):
        capsnet.train(data=scans, out=tmp_path / "c", steps=1, **TINY)
    assert not (tmp_path / "c").exists()


def test_fewer_recordings_than_classes_are_refused(sounds, tmp_path):
    with pytest.raises(UserError, match="limit must be at least 2, one of each class, got 1"):
        capsnet.train("sequence-capsnet", data=sounds, out=tmp_path / "run", limit=1)
