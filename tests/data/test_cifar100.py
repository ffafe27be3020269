import tarfile

import pytest
from tests.official import pixels, write_cifar100

from capsnet.data import load_data
from capsnet.errors import UserError


def test_the_second_label_is_the_thing(tmp_path):
    dataset = load_data("cifar100", data_dir=write_cifar100(tmp_path))
    assert dataset.train.labels.tolist() == [0, 33, 66, 99, 32, 65]
    assert (dataset.test.images.numpy() == pixels(6, 3, 32, 32, seed=1)).all()
    assert len(dataset.train.class_names) == 100
    assert [dataset.train.class_names[k] for k in (0, 1, 53, 99)] == ["apple", "aquarium fish", "orange", "worm"]


def test_archive_is_read_without_unpacking_it(tmp_path):
    files = write_cifar100(tmp_path / "unpacked") / "cifar100" / "cifar-100-binary"
    (tmp_path / "cifar100").mkdir()
    with tarfile.open(tmp_path / "cifar100" / "cifar-100-binary.tar.gz", "w:gz") as tar:
        tar.add(files, "cifar-100-binary")
    assert len(load_data("cifar100", data_dir=tmp_path).test) == 6


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-1], "must hold whole records of 3,074 bytes .CIFAR-100 binary"),
        (lambda data: data[:1] + b"\x64" + data[2:], "labels must be 0 to 99, got 100 in record 0"),
    ],
)
def test_damaged_file_is_named_with_the_check_that_failed(tmp_path, damage, words):
    path = write_cifar100(tmp_path) / "cifar100" / "cifar-100-binary" / "train.bin"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=words) as fault:
        load_data("cifar100", data_dir=tmp_path)
    assert str(path) in str(fault.value)


def test_fewer_images_than_the_official_ones_are_named(tmp_path):
    dataset = load_data("cifar100", data_dir=write_cifar100(tmp_path))
    assert dataset.notes == ("CIFAR-100 has 50,000 training and 10,000 test images, these files 6 and 6.",)
