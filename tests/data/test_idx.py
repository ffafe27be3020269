import gzip
import struct
import tracemalloc

import numpy as np
import pytest
import torch

from capsnet.data.idx import read_idx, read_image_data
from capsnet.errors import UserError


def idx_bytes(array, kind=8):
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@pytest.fixture
def images():
    return np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


@pytest.mark.parametrize("packed", [True, False])
def test_file_is_read_packed_or_plain(tmp_path, images, packed):
    path = tmp_path / ("images.gz" if packed else "images")
    path.write_bytes(gzip.compress(idx_bytes(images)) if packed else idx_bytes(images))
    torch.testing.assert_close(read_idx(path, 3), torch.from_numpy(images))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-1], "truncated, its header says 3x4x5"),
        (lambda data: data + b"x", "too long"),
        (lambda data: data[:7], "truncated in the header"),
        (lambda data: b"PK\3\4" + data[4:], "not an IDX file"),
        (lambda data: b"", "not an IDX file"),
        (lambda data: data[:3] + b"\1" + data[4:], "exchanged"),
        (lambda data: data[:2] + b"\x0d" + data[3:], "must hold uint8"),
    ],
)
def test_damaged_file_is_named_with_the_check_that_failed(tmp_path, images, damage, words):
    path = tmp_path / "images"
    path.write_bytes(damage(idx_bytes(images)))
    with pytest.raises(UserError, match=words) as fault:
        read_idx(path, 3)
    assert str(path) in str(fault.value)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data[:40] + b"\0" + data[41:], lambda _: b"no"]
)
def test_damaged_gzip_is_named(tmp_path, damage):
    path = tmp_path / "images.gz"
    noise = np.random.default_rng(0).integers(0, 256, (9, 4, 5)).astype(np.uint8)
    path.write_bytes(damage(gzip.compress(idx_bytes(noise))))
    with pytest.raises(UserError, match=r"images\.gz: truncated or corrupt gzip"):
        read_idx(path, 3)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.gz: no such file"):
        read_idx(tmp_path / "nothing.gz", 3)


def test_images_and_labels_of_different_counts_are_refused(tmp_path, images):
    (tmp_path / "images").write_bytes(idx_bytes(images))
    (tmp_path / "labels").write_bytes(idx_bytes(np.zeros(2, np.uint8)))
    with pytest.raises(UserError, match=r"holds 3 images but .*labels 2 labels"):
        read_image_data(tmp_path / "images", tmp_path / "labels", ("a", "b"))


def test_label_without_a_class_is_refused(tmp_path, images):
    (tmp_path / "images").write_bytes(idx_bytes(images))
    (tmp_path / "labels").write_bytes(idx_bytes(np.array([0, 1, 2], np.uint8)))
    with pytest.raises(UserError, match="labels must be 0 to 1, got 2"):
        read_image_data(tmp_path / "images", tmp_path / "labels", ("a", "b"))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2**32 - 1, 2**32 - 1, 2**32 - 1), "must hold at most 500,000,000 bytes, its header says 4294967295x"),
        # their product is 0 in 64 bits
        ((2**31, 2**31, 4), "must hold at most 500,000,000 bytes"),
        ((100_000, 28, 28), "truncated, its header says 100000x28x28, that is 78400016 bytes, got 76"),
        ((0, 28, 28), "holds nothing, its header says 0x28x28"),
        ((3, 0, 5), "holds nothing"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tmp_path, images, shape, words):
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(images)[:4] + struct.pack(">3I", *shape) + images.tobytes())
    with pytest.raises(UserError, match=words):
        read_idx(path, 3)


def test_no_more_is_unpacked_than_the_header_says(tmp_path, images):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx_bytes(images)) + gzip.compress(bytes(10_000_000)) * 20)
    tracemalloc.start()
    with pytest.raises(UserError, match="too long, its header says 3x4x5, that is 76 bytes, got more"):
        read_idx(path, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
