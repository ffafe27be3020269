import shutil
from dataclasses import replace

import pytest
import torch
from tests.conftest import TINY
from tests.data.test_folder import write_images

from capsnet.cli import main
from capsnet.data import Dataset, load_data
from capsnet.errors import UserError
from capsnet.runs import Run
from capsnet.runs.data import compare_splits, load_dataset, split_training
from capsnet.runs.splits import read_splits
from capsnet.runs.weights import read_tensors
from capsnet.training import train

PHOTOS = TINY.change(image_size=20, limit=None, epochs=None, steps=4, batch_size=6)


def test_held_out_images_are_moved_once_and_the_same_way_each_time():
    data = load_data("digits")
    config = TINY.change(validation_shift=3)
    (training, still), (same, moved) = split_training(TINY, data), split_training(config, data)
    assert training.images.equal(same.images)
    assert moved.labels.equal(still.labels)
    assert not moved.images.equal(still.images)
    assert moved.images.equal(split_training(config, data)[1].images)
    # what is moved out of the frame is gone, all else is there
    assert moved.images.sum() <= still.images.sum()
    rows = torch.stack([image.sum(dim=(0, 2)).argmax() for image in moved.images])
    before = torch.stack([image.sum(dim=(0, 2)).argmax() for image in still.images])
    assert (rows - before).float().std() > 1


def test_fewer_test_images_are_the_same_ones_for_all_seeds():
    one, two = (load_dataset(TINY.change(test_limit=50, seed=seed)).test for seed in (1, 2))
    assert len(one) == 50
    assert one.images.equal(two.images)
    assert len(load_dataset(TINY.change(test_limit=5000)).test) == 359


def test_validation_images_of_the_data_set_are_used_as_they_are():
    digits = load_data("digits")
    own = digits.test.select(torch.arange(20))
    dataset = replace(digits, validation=own)
    training, validation = split_training(TINY, dataset)
    assert validation is own
    assert len(training) == TINY.data.limit
    assert split_training(TINY.change(limit=None), dataset)[0] is digits.train
    assert split_training(TINY.change(validation=0), dataset)[1] is None


def test_validation_that_cannot_be_held_out_is_named(tmp_path):
    folder = write_images(tmp_path / "two", {"a": 2, "b": 2})
    config = PHOTOS.change(data=str(folder), validation=0.1)
    dataset = load_dataset(config)
    assert split_training(config, dataset)[1] is None
    assert compare_splits(Run(tmp_path, config), dataset, None)[0].startswith("No class has an image to spare")
    with pytest.raises(UserError, match="stop_at needs validation images"):
        split_training(config.change(stop_at=0.5), dataset)


def test_images_held_out_of_a_named_data_set_are_those_of_earlier_versions():
    digits = load_data("digits")
    order = torch.randperm(len(digits.train), generator=torch.Generator().manual_seed(1))
    held = order[: round(0.1 * len(order))].sort().values
    assert split_training(TINY, digits)[1].images.equal(digits.train.images[held])


def test_run_on_a_folder_records_its_files_at_the_start(photos, tmp_path):
    run = train(PHOTOS.change(data=str(photos)), out=tmp_path / "run")
    record = read_splits(run.folder)
    files = [file for part in ("train", "validation", "test") for file in record[part]]
    assert len(set(files)) == len(files) == len(record["sizes"])
    assert all((photos / file).stat().st_size == record["sizes"][file] for file in files)


def test_moved_folder_is_taken_on_resume_and_another_one_is_refused(photos, tmp_path, capsys):
    own = shutil.copytree(photos, tmp_path / "own")
    run = train(PHOTOS.change(data=str(own)), out=tmp_path / "run")
    own.rename(tmp_path / "moved")
    line = ["train", "--resume", str(run.folder), "--steps", "6", "--data"]
    assert main([*line, str(tmp_path / "moved")]) == 0
    assert Run.open(run.folder).config.data.name == str(tmp_path / "moved")
    shutil.copytree(tmp_path / "moved", tmp_path / "other")
    for file in (tmp_path / "other").rglob("*.*"):
        file.rename(file.with_name("other-" + file.name))
    assert main([*line, str(tmp_path / "other")]) == 2
    assert "does not hold the images of" in capsys.readouterr().err
    assert main([*line, "digits"]) == 2
    assert "--data on resume gives the new path" in capsys.readouterr().err


def test_files_with_other_contents_are_named(photos, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    run = Run(tmp_path / "run", PHOTOS.change(data=str(folder)))
    run.folder.mkdir()
    dataset = load_dataset(run.config)
    validation = split_training(run.config, dataset)[1]
    assert compare_splits(run, dataset, validation) == ()
    assert compare_splits(run, dataset, validation) == ()
    for path in folder.rglob("*.*"):
        path.write_bytes(path.read_bytes() + b" ")
    [note] = compare_splits(run, dataset, validation)
    assert note == f"More than a tenth of the files in {folder} have other contents than when the run was made."


def test_changed_folder_is_named_on_resume(photos, tmp_path, capsys):
    own = shutil.copytree(photos, tmp_path / "own")
    run = train(PHOTOS.change(data=str(own)), out=tmp_path / "run")
    some = sorted(own.rglob("*.*"))[0]
    shutil.copy(some, some.with_name("new-" + some.name))
    train(run.config.change(steps=5), resume=run.folder)
    assert "1 images were added since the run was made" in capsys.readouterr().err


def test_balanced_run_that_was_stopped_ends_with_the_same_bits(tmp_path):
    config = TINY.change(balance=True, limit=96, epochs=None, steps=5)
    whole = train(config, out=tmp_path / "whole")
    train(config.change(steps=2), out=tmp_path / "stopped")
    stopped = train(config, resume=tmp_path / "stopped")
    one, two = (read_tensors(run.folder / "last" / "checkpoint.safetensors")[0] for run in (whole, stopped))
    assert all(one[name].equal(two[name]) for name in one)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format_version": 99}'])
def test_damaged_record_is_refused(tmp_path, text):
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(UserError, match=r"splits.json is"):
        read_splits(tmp_path)


@pytest.mark.parametrize("name", ["limit", "test_limit"])
def test_fewer_photos_than_classes_are_refused(photos, name):
    config = PHOTOS.change(data=str(photos), **{name: 2})
    with pytest.raises(UserError, match=f"^{name} must be at least 3, one of each class, got 2"):
        split_training(config, load_dataset(config))


def test_another_set_of_arrays_is_refused_on_resume(tmp_path):
    images = torch.randint(256, (60, 20, 20), generator=torch.Generator().manual_seed(0)).byte()
    mine, other = (Dataset.from_arrays(pixels, [0, 1] * 30) for pixels in (images, 255 - images))
    config = PHOTOS.change(data="custom: arrays", steps=1, validation=0)
    run = Run(tmp_path, config)
    assert compare_splits(run, mine, None) == ()
    assert compare_splits(run, mine, None) == ()
    with pytest.raises(UserError, match="arrays does not hold the images of"):
        compare_splits(run, other, None)
    # a file that was moved holds the same images under another name
    moved = Run(tmp_path, PHOTOS.change(data="/b.npz", validation=0))
    assert compare_splits(moved, replace(mine, name="/b.npz"), None) == ()
    with pytest.raises(UserError, match=r"/b.npz does not hold the images of .*, which were in arrays"):
        compare_splits(moved, replace(other, name="/b.npz"), None)


def test_pairs_per_digit_without_pairs_is_named():
    (note,) = load_dataset(TINY.change(pairs_per_digit=3)).notes
    assert note == "pairs_per_digit 3 has no effect: digits is no set of pairs."
