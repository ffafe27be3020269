import io
import tarfile

import numpy as np
import pytest
from tests.official import CIFAR_FILES, cifar_bytes, pixels, write_cifar10, write_cifar10_archive

from capsnet.data import load_data
from capsnet.errors import UserError


@pytest.mark.parametrize("folder", ["", "cifar-10-batches-bin"])
def test_records_become_colour_images_with_labels(tmp_path, folder):
    dataset = load_data("cifar10", data_dir=write_cifar10(tmp_path, 4, folder))
    assert dataset.train.image_shape == (3, 32, 32)
    assert (len(dataset.train), len(dataset.test)) == (20, 4)
    assert dataset.train.labels[:8].tolist() == [0, 1, 2, 3, 1, 2, 3, 4]
    assert (dataset.test.images.numpy() == pixels(4, 3, 32, 32, seed=5)).all()
    assert dataset.train.class_names[0] == "airplane"


def test_planes_are_red_green_and_blue(tmp_path):
    write_cifar10(tmp_path)
    image = np.zeros((1, 3, 32, 32), np.uint8)
    image[0, 0, 2, 5], image[0, 2] = 7, 9
    for file in CIFAR_FILES:
        (tmp_path / "cifar10" / file).write_bytes(cifar_bytes(image, np.array([3])))
    read = load_data("cifar10", data_dir=tmp_path).test.images[0]
    assert read[:, 2, 5].tolist() == [7, 0, 9]
    assert read[:, 0, 0].tolist() == [0, 0, 9]


def test_archive_is_read_without_unpacking_it(tmp_path):
    dataset = load_data("cifar10", data_dir=write_cifar10_archive(tmp_path))
    assert dataset.train.counts()[:5] == [1, 2, 3, 4, 4]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-1], "must hold whole records of 3,073 bytes"),
        (lambda data: b"", "must hold whole records"),
        (lambda data: data[:3073], "truncated, it holds 1 records, the others 4"),
        (lambda data: b"\x0a" + data[1:], "labels must be 0 to 9, got 10 in record 0"),
        (lambda data: b"\x01" + data, "must hold whole records"),
    ],
)
def test_damaged_file_is_named_with_the_check_that_failed(tmp_path, damage, words):
    path = write_cifar10(tmp_path) / "cifar10" / "data_batch_3.bin"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=words) as fault:
        load_data("cifar10", data_dir=tmp_path)
    assert str(path) in str(fault.value)


def test_missing_file_is_named(tmp_path):
    (write_cifar10(tmp_path) / "cifar10" / "test_batch.bin").unlink()
    with pytest.raises(UserError, match=r"cifar10/test_batch\.bin: no such file, though"):
        load_data("cifar10", data_dir=tmp_path)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda _: b"no archive"])
def test_damaged_archive_is_named(tmp_path, damage):
    path = write_cifar10_archive(tmp_path) / "cifar10" / "cifar-10-binary.tar.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"cifar-10-binary\.tar\.gz: truncated or corrupt (archive|gzip)"):
        load_data("cifar10", data_dir=tmp_path)


def test_folder_without_any_says_what_it_must_hold(tmp_path):
    with pytest.raises(UserError, match=r"data_dir must hold cifar10/cifar-10-binary\.tar\.gz"):
        load_data("cifar10", data_dir=tmp_path)


def add(tar, name, content, **fields):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    tar.addfile(member, io.BytesIO(content))


def write_archive(root, *members, **options):
    (root / "cifar10").mkdir()
    path = root / "cifar10" / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1, **options) as tar:
        for name, content, fields in members:
            add(tar, name, content, **fields)
    return path


TRAIN = "cifar-10-batches-bin/data_batch_1.bin"


@pytest.mark.parametrize(
    ("name", "content", "fields", "words"),
    [
        (TRAIN, b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, f"holds no {TRAIN}"),
        (TRAIN, b"", {"type": tarfile.DIRTYPE}, f"holds no {TRAIN}"),
        (TRAIN, b"", {"pax_headers": {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**40)}}, f"holds no {TRAIN}"),
        (TRAIN, b"", {"pax_headers": {"size": "-5"}}, "truncated or corrupt|holds no"),
        ("large", bytes(201_000_000), {}, "truncated or corrupt archive .more than 200,000,000 bytes unpacked"),
    ],
)
def test_odd_archive_is_refused_in_one_line(tmp_path, name, content, fields, words):
    path = write_archive(tmp_path, (name, content, fields))
    with pytest.raises(UserError, match=words) as fault:
        load_data("cifar10", data_dir=tmp_path)
    assert str(fault.value).startswith(str(path))
    assert "\n" not in str(fault.value)


def test_more_records_than_the_official_files_hold_are_refused(tmp_path):
    path = write_cifar10(tmp_path) / "cifar10" / "data_batch_2.bin"
    with path.open("wb") as file:
        file.truncate(60_001 * 3073)
    with pytest.raises(UserError, match=r"data_batch_2\.bin must hold at most 184,380,000 bytes, unpacked"):
        load_data("cifar10", data_dir=tmp_path)
