import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import TINY

import capsnet
from capsnet.cli import main
from capsnet.data import load_data
from capsnet.data.reading import prepare_image
from capsnet.data.splits import name_images
from capsnet.errors import UserError
from capsnet.inference import images as module
from capsnet.inference.images import find_images
from capsnet.runs.data import load_dataset
from capsnet.training import train

GREY = TINY.change(model="capsnet-tiny", image_size=20, epochs=None, steps=4, limit=None, shift=0)


def draw(folder, name, bright, mode="L", seed=0):
    """A bright square on the left or on the right, with noise."""
    pixels = np.random.default_rng(seed).integers(0, 60, (24, 24), dtype=np.uint8)
    pixels[6:18, 2 : 12 if bright else 4] += 150
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(folder / name)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    for k in range(30):
        draw(folder, f"lesion/{k}.png", True, seed=k)
        draw(folder, f"normal/{k}.png", False, seed=100 + k)
    return folder


@pytest.fixture(scope="module")
def run(own, tmp_path_factory):
    return train(GREY.change(data=str(own)), out=tmp_path_factory.mktemp("runs") / "grey")


@pytest.fixture
def other(tmp_path):
    """Colour, palette and grey files of another folder, of one class more often than of the other."""
    for k in range(12):
        draw(tmp_path / "other", f"normal/{k}.png", False, ("RGB", "P", "L")[k % 3], seed=200 + k)
    return tmp_path / "other"


def test_all_images_of_another_folder_are_tested_as_predict_prepares_them(run, other):
    model = run.load_model()
    images = find_images(model, str(other), run=run)
    assert (images.split, len(images.data)) == ("all", 12)
    for file, image in zip(images.data.files, images.data.images, strict=True):
        assert image.equal(prepare_image(other / file, (1, 20, 20), "fit"))


def test_folder_of_one_class_has_the_models_class_names_and_labels(run, other):
    result = capsnet.evaluate(run, other)
    assert result.class_names == ("lesion", "normal")
    assert [sum(row) for row in result.confusion] == [0, 12]


def test_digits_of_a_folder_are_centred_for_a_network_of_digits(tiny_run, tmp_path):
    draw(tmp_path, "7/a.png", True)
    images = find_images(tiny_run.load_model(), str(tmp_path), run=tiny_run)
    assert images.data.images[0].equal(
        prepare_image(tmp_path / "7/a.png", (1, 28, 28), tiny_run.load_model().preparation)
    )
    assert images.data.labels.tolist() == [7]


def test_own_folder_gives_its_splits_apart(run, own):
    model, names = run.load_model(), {}
    for split in ("train", "validation", "test"):
        names[split] = set(find_images(model, split=split, run=run).data.files)
    assert len(set.union(*names.values())) == 60
    assert sum(map(len, names.values())) == 60
    assert capsnet.evaluate(run, own).split == "test"


def test_own_folder_is_known_again_where_it_was_moved(run, own, tmp_path):
    moved = shutil.copytree(own, tmp_path / "moved")
    assert capsnet.evaluate(run, moved).n == capsnet.evaluate(run).n < 60


def test_another_folder_with_the_same_names_and_sizes_is_not_the_runs_own(tmp_path):
    random = np.random.default_rng(0)
    for root in ("own", "other"):
        for name in ("a", "b"):
            (tmp_path / root / name).mkdir(parents=True)
            for k in range(10):
                pixels = random.integers(0, 256, size=(16, 16)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / root / name / f"{k}.bmp")
    run = capsnet.train(TINY.change(data=str(tmp_path / "own"), steps=1, epochs=None), out=tmp_path / "run")
    images = find_images(run.load_model(), str(tmp_path / "other"), run=run)
    assert (images.split, len(images.data)) == ("all", 20)
    assert find_images(run.load_model(), str(tmp_path / "own"), run=run).split == "test"


def test_image_that_was_trained_on_is_not_tested_where_splits_changed(run, own, tmp_path):
    grown = shutil.copytree(own, tmp_path / "grown")
    draw(grown, "lesion/new.png", True, seed=999)
    images = find_images(run.load_model(), str(grown), run=run)
    trained = set(json.loads((run.folder / "splits.json").read_text())["train"])
    assert not trained & set(images.data.files)
    assert any("added since the run was made" in note for note in images.cautions)


def test_folder_that_has_gone_is_named(run, own, tmp_path):
    gone = replace(run, config=run.config.change(data=str(tmp_path / "gone")))
    with pytest.raises(UserError, match="gone: no such folder or file; if it was moved, give its new path as `data`"):
        find_images(run.load_model(), run=gone)


def test_split_folder_of_another_data_set_is_tested_alone_where_it_is_named(run, tmp_path):
    draw(tmp_path, "train/lesion/1.png", True)
    draw(tmp_path, "test/normal/1.png", False)
    model = run.load_model()
    assert len(find_images(model, str(tmp_path), run=run).data) == 2
    assert find_images(model, str(tmp_path), "test", run=run).data.files == ("test/normal/1.png",)


def test_split_of_a_folder_without_splits_is_refused(run, other):
    with pytest.raises(UserError, match="has no train folder; leave split out"):
        capsnet.evaluate(run, other, "train")


def test_model_without_recorded_data_takes_no_folder_for_its_own(run, own, monkeypatch):
    model = run.load_model()
    model.data = ""
    monkeypatch.chdir(own)
    assert find_images(model, ".").split == "all"


def test_named_folder_is_tested_whole(own, tmp_path):
    limited = train(GREY.change(data=str(own), test_limit=2, steps=1), out=tmp_path / "run")
    assert capsnet.evaluate(limited).n == 2
    assert capsnet.evaluate(limited, own).n == len(load_dataset(GREY.change(data=str(own))).test)


def test_validation_of_another_data_set_is_refused_for_a_run(tiny_run):
    with pytest.raises(UserError, match="held no images of mnist out for validation; its own data is digits"):
        find_images(tiny_run.load_model(), "mnist", "validation", run=tiny_run)


def test_validation_of_a_named_data_set_is_the_runs_own(tiny_run):
    images = find_images(tiny_run.load_model(), split="validation", run=tiny_run)
    result = capsnet.evaluate(tiny_run, split="validation")
    assert result.n == len(images.data) == round(0.1 * len(load_data("digits").train))
    assert result.accuracy == pytest.approx(tiny_run.evaluation()["validation"]["accuracy"])


def test_training_images_of_a_named_data_set_are_those_the_run_learned_from(tiny_run):
    images = find_images(tiny_run.load_model(), split="train", run=tiny_run)
    assert len(images.data) == tiny_run.config.data.limit == 192


def test_json_of_a_folder_lists_each_file(run, other, capsys):
    main(["evaluate", str(run.folder), "--data", str(other), "--json"])
    output = capsys.readouterr()
    values = json.loads(output.out)
    assert values["class_names"] == ["lesion", "normal"]
    assert sorted(row["file"] for row in values["files"]) == sorted(f"normal/{k}.png" for k in range(12))
    assert all(row["prediction"] == int(np.argmax(row["lengths"])) and row["label"] == 1 for row in values["files"])
    assert "all 12 images" in output.err


def test_csv_lists_each_file_and_is_not_overwritten(run, other, tmp_path, capsys):
    target = tmp_path / "answers.csv"
    line = ["evaluate", str(run.folder), "--data", str(other), "--csv", str(target)]
    assert main(line) == 0
    rows = list(csv.DictReader(target.read_text().splitlines()))
    assert list(rows[0]) == ["file", "label", "prediction", "lengths"]
    assert {row["label"] for row in rows} == {"normal"}
    assert main(line) == 2
    assert "exists; give another --csv" in capsys.readouterr().err


def test_table_names_classes_without_images(run, other, capsys):
    main(["evaluate", str(run.folder), "--data", str(other)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "  no images of lesion"
    assert lines[-2].split()[0] == "normal"
    assert "of 12" in lines[-2]


def test_mistakes_of_a_run_on_a_folder_are_named(run):
    mistakes = run.evaluation()["test"]["mistakes"]
    wrong = {row["file"] for row in capsnet.evaluate(run).files if row["label"] != row["prediction"]}
    assert {row["file"] for row in mistakes} == wrong
    assert torch.tensor(run.evaluation()["test"]["confusion"]).diagonal().sum() == run.evaluation()["test"]["n"] - len(
        wrong
    )


def test_run_without_a_record_warns_on_its_own_folder(run, tmp_path):
    old = replace(run, folder=shutil.copytree(run.folder, tmp_path / "old"))
    (old.folder / "splits.json").unlink()
    (note,) = find_images(old.load_model(), run=old).cautions
    assert "the test may include training images" in note


def test_test_split_of_a_run_is_the_one_it_was_tested_on(tiny_run):
    run = replace(tiny_run, config=tiny_run.config.change(test_limit=40))
    assert len(find_images(tiny_run.load_model(), run=run).data) == 40
    assert len(find_images(tiny_run.load_model(), "digits", run=run).data) == 359


def test_data_of_a_run_are_read_as_in_training_but_not_from_a_folder_that_is_gone(tiny_run, tmp_path, monkeypatch):
    model, read = tiny_run.load_model(), []
    monkeypatch.setattr(module, "load_dataset", lambda config: read.append(config.data) or load_dataset(config))
    for folder in (tmp_path / "gone", tmp_path):
        run = replace(tiny_run, config=tiny_run.config.change(data_dir=str(folder), shards="never"))
        find_images(model, run=run, skip_unreadable=True)
    assert [data.data_dir for data in read] == [None, str(tmp_path)]
    assert all((data.skip_unreadable, data.shards) == (True, "never") for data in read)


def test_all_images_of_arrays_that_the_model_was_not_trained_on_are_tested(tiny_run, tmp_path):
    images, labels = np.random.default_rng(0).integers(0, 255, (20, 28, 28), np.uint8), np.arange(20) % 10
    np.savez(tmp_path / "others.npz", images=images, labels=labels)
    model = capsnet.load(tiny_run.folder)
    assert capsnet.evaluate(model, tmp_path / "others.npz").n == 20
    assert 0 < capsnet.evaluate(model, tmp_path / "others.npz", "test").n < 20
    np.savez(tmp_path / "split.npz", images=images, labels=labels, test_images=images[:4], test_labels=labels[:4])
    assert capsnet.evaluate(model, tmp_path / "split.npz").n == 4


def test_arrays_that_the_run_learned_from_are_named(tmp_path):
    images, labels = np.random.default_rng(1).integers(0, 255, (60, 28, 28), np.uint8), np.arange(60) % 2
    np.savez(tmp_path / "whole.npz", images=images, labels=labels)
    np.savez(tmp_path / "part.npz", images=images[:6], labels=labels[:6])
    config = TINY.change(data=str(tmp_path / "whole.npz"), limit=None, epochs=None, steps=1)
    run = train(config, out=tmp_path / "run")
    tested = set(json.loads((run.folder / "splits.json").read_text())["test"])
    found = find_images(run.load_model(), tmp_path / "part.npz", run=run)
    seen = 6 - len(tested & set(name_images(found.data)))
    assert found.cautions == (f"{seen} of these images were training or validation images of the run.",)
