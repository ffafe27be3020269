import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from capsnet.data import load_data, reading, shards
from capsnet.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(shards, "_SHARD_BYTES", 8 * 3 * 8 * 8)
    return tmp_path / "cache" / "shards"


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that are decoded."""
    names, prepare = [], reading.prepare_image

    def count(path, *args, **options):
        names.append(path.name)
        return prepare(path, *args, **options)

    monkeypatch.setattr(reading, "prepare_image", count)
    return names


def load(folder, choice="always", **options):
    return load_data(str(folder), image_size=8, shards=choice, **options)


def pixels(dataset):
    return torch.cat([part.images[torch.arange(len(part))] for part in (dataset.train, dataset.test)])


def test_shards_hold_the_images_labels_and_splits_of_memory(photos, cache):
    stored, whole = load(photos), load(photos, "never")
    assert len(list(cache.glob("*.npy"))) > 1
    assert pixels(stored).equal(pixels(whole))
    assert (stored.train.files, stored.test.files) == (whole.train.files, whole.test.files)
    assert stored.train.labels.equal(whole.train.labels)
    assert stored.survey == whole.survey


def test_images_larger_than_a_quarter_of_the_free_memory_go_to_shards(photos, cache, monkeypatch):
    load(photos, None)
    assert not cache.exists()
    monkeypatch.setattr(shards, "free_memory", lambda: 45 * 3 * 8 * 8)
    dataset = load(photos, None)
    assert any("shards" in note for note in dataset.notes)
    assert list(cache.glob("*.npy"))


def test_preparing_goes_on_after_a_kill(photos, decoded, monkeypatch):
    prepare = shards._prepare
    calls = []

    def die(*args):
        calls.append(args)
        if len(calls) == 3:
            raise SystemExit
        return prepare(*args)

    monkeypatch.setattr(shards, "_prepare", die)
    with pytest.raises(SystemExit):
        load(photos)
    before = len(decoded)
    monkeypatch.setattr(shards, "_prepare", prepare)
    dataset = load(photos)
    assert 0 < before < len(decoded) == 45
    assert pixels(dataset).equal(pixels(load(photos, "never")))


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_shard_is_named_and_prepared_anew(photos, cache, caplog, damage):
    load(photos)
    shard = next(cache.glob("*.npy"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data if damage == "flip" else data[:-5])
    dataset = load(photos)
    assert f"{shard}: the shard is damaged" in caplog.text
    assert pixels(dataset).equal(pixels(load(photos, "never")))


def test_a_changed_photo_makes_its_shard_new_and_no_other(photos, tmp_path, decoded):
    folder = shutil.copytree(photos, tmp_path / "photos")
    load(folder)
    decoded.clear()
    Image.fromarray(np.full((9, 9, 3), 7, np.uint8)).save(folder / "rose" / "0.png")
    dataset = load(folder)
    assert 0 < len(decoded) < 45
    assert pixels(dataset).equal(pixels(load(folder, "never")))


def test_an_unreadable_file_is_named_each_time(photos, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    path = folder / "rose" / "0.png"
    path.write_bytes(path.read_bytes()[:-200])
    for _ in range(2):
        with pytest.raises(UserError, match=r"rose/0.png is a damaged image"):
            load(folder)
    assert len(load(folder, skip_unreadable=True).survey.left_out) == 1


def test_a_full_disk_is_refused_before_preparing(photos, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 0))
    with pytest.raises(UserError, match="CAPSNET_CACHE_DIR to another disk"):
        load(photos)


def test_an_image_that_could_not_be_read_once_is_tried_again(photos, monkeypatch):
    prepare = reading.prepare_image

    def fail(path, *args, **options):
        if path.name == "3.jpg":
            raise UserError(f"{path} needs more memory than there is")
        return prepare(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(reading, "prepare_image", fail)
        assert len(pixels(load(photos, skip_unreadable=True))) == 42
    assert pixels(load(photos)).equal(pixels(load(photos, "never")))
