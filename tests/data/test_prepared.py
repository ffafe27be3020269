import os

import pytest
import torch

from capsnet.data import prepared
from capsnet.data.prepared import PreparedImages
from capsnet.data.sources import FolderFiles

SHAPE = (1, 2, 2)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "prepared"


def entries(count=3):
    images = torch.arange(4 * count, dtype=torch.uint8).view(count, *SHAPE)
    return {bytes([number] * 16): image for number, image in enumerate(images)}


def open_cache(folder, pixel_range=None):
    return PreparedImages(str(folder), SHAPE, "fit", pixel_range)


def test_what_is_saved_is_loaded(tmp_path):
    open_cache(tmp_path).save(entries())
    loaded = open_cache(tmp_path).load()
    assert loaded.keys() == entries().keys()
    assert all(loaded[key].equal(image) for key, image in entries().items())


def test_another_range_has_other_images(tmp_path):
    open_cache(tmp_path).save(entries())
    assert open_cache(tmp_path, (0.0, 1023.0)).load() == {}


def test_any_damage_is_noticed(tmp_path, cache):
    open_cache(tmp_path).save(entries())
    (path,) = cache.iterdir()
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :])
        loaded = open_cache(tmp_path).load()
        assert all(key in entries() and image.equal(entries()[key]) for key, image in loaded.items()), position
        path.write_bytes(data[:position])
        assert open_cache(tmp_path).load() == {}, position


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path, cache):
    cache.parent.mkdir()
    cache.write_text("a file in place of the folder")
    open_cache(tmp_path).save(entries())
    assert open_cache(tmp_path).load() == {}


def test_files_used_longest_ago_go_first(tmp_path, cache, monkeypatch):
    for number in range(3):
        open_cache(tmp_path / str(number)).save(entries())
        path = max(cache.iterdir(), key=lambda path: path.stat().st_mtime)
        os.utime(path, (number + 1, number + 1))
    (size,) = {path.stat().st_size for path in cache.iterdir()}
    open_cache(tmp_path / "0").load()
    monkeypatch.setattr(prepared, "_MOST_BYTES", 2 * size)
    open_cache(tmp_path / "0").save(entries())
    kept = [number for number in range(3) if open_cache(tmp_path / str(number)).load()]
    assert kept == [0, 2]


def test_a_key_changes_with_the_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    before = FolderFiles(tmp_path).keys(["a.png"])
    assert FolderFiles(tmp_path).keys(["a.png"]) == before
    status = path.stat()
    path.write_bytes(b"two")
    # a copy that keeps the time of change
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert FolderFiles(tmp_path).keys(["a.png"]) != before
