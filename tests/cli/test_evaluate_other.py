"""`capsnet evaluate` for segmentation models and models of sequences."""

import json
import shutil

import pytest
from tests.cli.test_cli import call
from tests.data.sounds import write_tone
from tests.data.test_mask_folder import write
from tests.data.test_recordings import SERIES

import capsnet
from capsnet.runs.results import read_mask_result


def evaluate(capsys, *words):
    status, out, err = call(capsys, "evaluate", *words, "--json")
    assert status == 0, err
    return json.loads(out), err


def test_the_test_of_masks_is_that_of_the_run(capsys, masks_run):
    values, _ = evaluate(capsys, masks_run.folder)
    files = values.pop("files")
    assert values == read_mask_result(masks_run.folder)["test"]
    assert sum(row["dice"] for row in files) / len(files) == pytest.approx(values["dice"])


def test_the_test_of_recordings_is_that_of_the_run(capsys, sounds_run):
    values, _ = evaluate(capsys, sounds_run.folder)
    files, record = values.pop("files"), sounds_run.evaluation()["test"]
    mistakes = record.pop("mistakes")
    assert values == record
    assert [row for row in files if row["label"] != row["prediction"]] == mistakes
    assert len(files) == values["n"] == 2


def test_the_test_of_series_is_that_of_the_run(capsys, tmp_path):
    (tmp_path / "Small.ts").write_text(SERIES.replace(":", ",3,4,5,6:"))
    run = capsnet.train(data=tmp_path / "Small.ts", out=tmp_path / "run", steps=2)
    values, _ = evaluate(capsys, run.folder)
    assert values == run.evaluation()["test"]
    everything, err = evaluate(capsys, run.weights_path, "--data", tmp_path / "Small.ts")
    assert (everything["split"], everything["n"], err) == (
        "all",
        10,
        f"capsnet: all 10 series of {tmp_path / 'Small.ts'} are tested\n",
    )


def test_dice_and_pixel_error_of_each_class_are_printed(capsys, masks_run):
    status, out, _ = call(capsys, "evaluate", masks_run.folder)
    right = read_mask_result(masks_run.folder)["test"]["classes"][1]
    line = next(line for line in out.splitlines() if line.startswith("right"))
    shares = [f"{100 * right[name]:.2f}" for name in ("share", "pixel_error", "dice")]
    assert (status, [line.split()[k] for k in (1, 3, 5)]) == (0, shares)


def test_the_error_of_recordings_has_its_interval(capsys, sounds_run, tmp_path):
    status, out, _ = call(capsys, "evaluate", sounds_run.folder, "--csv", tmp_path / "a.csv")
    assert status == 0
    assert "test split, 2 recordings" in out
    assert "95 % interval" in out
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("kind", ["masks", "sounds"])
def test_a_folder_that_was_moved_is_known_by_what_it_holds(capsys, request, tmp_path, kind):
    run = request.getfixturevalue(f"{kind}_run")
    shutil.copytree(run.config.data.name, tmp_path / "moved")
    here, _ = evaluate(capsys, run.folder, "--split", "train")
    moved, _ = evaluate(capsys, run.folder, "--split", "train", "--data", tmp_path / "moved")
    assert (moved["split"], moved["n"], moved["confusion" if kind == "sounds" else "dice"]) == (
        "train",
        here["n"],
        here["confusion" if kind == "sounds" else "dice"],
    )


def test_classes_of_another_folder_are_matched_by_name(capsys, masks_run, tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    left = [[1, 1, 0, 0]] * 4
    write(tmp_path / "a", "x", left)
    (tmp_path / "a" / "classes.txt").write_text("left\nright\n")
    write(tmp_path / "b", "x", [[2 * pixel for pixel in row] for row in left])
    (tmp_path / "b" / "classes.txt").write_text("right\nleft\n")
    one, other = (evaluate(capsys, masks_run.folder, "--data", tmp_path / name)[0] for name in "ab")
    assert one["classes"] == other["classes"]
    assert [row["share"] for row in one["classes"]] == [0.5, 0.0]
    (tmp_path / "b" / "classes.txt").write_text("right\ntop\n")
    status, _, err = call(capsys, "evaluate", masks_run.folder, "--data", tmp_path / "b")
    assert (status, "the model has no class 'top'; its classes: left, right" in err) == (2, True)


def test_training_recordings_in_other_data_are_counted(capsys, sounds_run, sounds, tmp_path):
    write_tone(tmp_path / "new" / "low" / "z.wav", 250, samples=2000)
    trained = json.loads((sounds_run.folder / "splits.json").read_text())["train"][0]
    shutil.copy(sounds / trained, tmp_path / "new" / "low" / "y.wav")
    values, err = evaluate(capsys, sounds_run.folder, "--data", tmp_path / "new")
    assert (values["split"], values["n"], values["class_names"]) == ("all", 2, ["high", "low"])
    assert "1 of these recordings were training or validation recordings of the run" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--pairs-per-digit 3", "--pairs-per-digit must be left out: it is for networks that classify images"),
        ("--data nowhere", "nowhere: no such folder or file"),
    ],
)
def test_what_has_no_effect_is_refused(capsys, masks_run, words, message):
    status, _, err = call(capsys, "evaluate", masks_run.folder, *words.split())
    assert (status, len(err.splitlines()), message in err) == (2, 1, True)


def test_a_file_of_weights_needs_data(capsys, sounds_run, scans):
    status, _, err = call(capsys, "evaluate", sounds_run.weights_path)
    assert (status, "give --data, or the run's folder" in err) == (2, True)
    status, _, err = call(capsys, "evaluate", sounds_run.weights_path, "--data", scans)
    assert status == 2


def test_classes_of_the_own_folder_are_those_of_the_model(capsys, masks_run, scans, tmp_path):
    shutil.copytree(scans, tmp_path / "moved")
    (tmp_path / "moved" / "classes.txt").write_text("right\nleft\n")
    before, _ = evaluate(capsys, masks_run.folder)
    after, _ = evaluate(capsys, masks_run.folder, "--data", tmp_path / "moved")
    shares = [{row["class_name"]: row["share"] for row in values["classes"]} for values in (before, after)]
    assert (after["split"], list(shares[1])) == ("test", ["left", "right"])
    assert shares[1] == {"left": shares[0]["right"], "right": shares[0]["left"]}


def test_order_of_classes_in_a_ts_file_does_not_matter(capsys, tmp_path):
    file = tmp_path / "Small.ts"
    file.write_text(SERIES.replace(":", ",3,4,5,6:"))
    run = capsnet.train(data=file, out=tmp_path / "run", steps=2)
    file.write_text(file.read_text().replace("true a b", "true b a"))
    assert evaluate(capsys, run.folder)[0] == run.evaluation()["test"]
    with pytest.raises(capsnet.UserError, match=r"has the classes b, a, when .* began a, b; start a new run"):
        capsnet.train(resume=run.folder, epochs=9)


def test_class_folder_that_the_model_does_not_have_is_refused(capsys, sounds_run, sounds, tmp_path):
    shutil.copytree(sounds, tmp_path / "moved")
    run = tmp_path / "run"
    shutil.copytree(sounds_run.folder, run)
    config = json.loads((run / "config.json").read_text())
    config["data"]["name"] = str(tmp_path / "moved")
    (run / "config.json").write_text(json.dumps(config))
    write_tone(tmp_path / "moved" / "click" / "0.wav", 900)
    status, _, err = call(capsys, "evaluate", run)
    assert (status, "unknown class 'click'" in err) == (2, True)
    status, _, err = call(capsys, "report", run, "--overwrite")
    assert (status, "couplings is left out" in err) == (0, True)


def test_recordings_that_changed_are_counted(capsys, sounds_run, sounds, tmp_path):
    shutil.copytree(sounds, tmp_path / "moved")
    tested = json.loads((sounds_run.folder / "splits.json").read_text())["test"][0]
    write_tone(tmp_path / "moved" / tested, 900)
    values, err = evaluate(capsys, sounds_run.folder, "--data", tmp_path / "moved")
    assert values["n"] == 2
    assert "1 of 2 recordings of the run's test split have changed since" in err


def test_series_that_were_moved_are_known_by_both_files(capsys, tmp_path):
    (tmp_path / "here").mkdir()
    series = SERIES.replace(":", ",3,4,5,6:")
    (tmp_path / "here" / "Small_TRAIN.ts").write_text(series)
    (tmp_path / "here" / "Small_TEST.ts").write_text(series.replace(",3", ",9"))
    run = capsnet.train(data=tmp_path / "here" / "Small_TRAIN.ts", out=tmp_path / "run", steps=2)
    (tmp_path / "here").rename(tmp_path / "moved")
    for moved in (tmp_path / "moved", tmp_path / "moved" / "Small_TRAIN.ts"):
        values, _ = evaluate(capsys, run.folder, "--data", moved)
        assert (values["split"], values["confusion"]) == ("test", run.evaluation()["test"]["confusion"])
