import warnings
import zipfile

import numpy as np
import pytest
from scipy.io import savemat
from tests.official import affnist_bytes, pixels, write_affnist, write_mnist

from capsnet.data import load_data
from capsnet.errors import UserError


def test_columns_of_the_file_are_columns_of_the_image(tmp_path):
    dataset = load_data("affnist", data_dir=write_affnist(tmp_path))
    assert dataset.test.image_shape == (1, 40, 40)
    assert (dataset.test.images[:, 0].numpy() == pixels(10, 40, 40)).all()
    assert dataset.test.labels.tolist() == list(range(10))


def test_training_images_are_mnists_in_the_middle(tmp_path):
    dataset = load_data("affnist", data_dir=write_affnist(tmp_path))
    mnist = load_data("mnist", data_dir=tmp_path)
    assert dataset.train.images[..., 6:34, 6:34].equal(mnist.train.images)
    assert dataset.train.images.sum() == mnist.train.images.sum()
    assert dataset.transformed_test


def test_batches_are_read_in_the_order_of_their_numbers(tmp_path):
    folder = write_mnist(tmp_path) / "affnist" / "transformed" / "test_batches"
    folder.mkdir(parents=True)
    for number in range(1, 12):
        (folder / f"{number}.mat").write_bytes(affnist_bytes(pixels(1, 40, 40), np.array([number % 10])))
    assert load_data("affnist", data_dir=tmp_path).test.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    (folder / "7.mat").unlink()
    with pytest.raises(UserError, match=r"test_batches holds 10 \.mat files but no 7\.mat"):
        load_data("affnist", data_dir=tmp_path)


def test_zip_of_batches_is_read_too(tmp_path):
    (write_mnist(tmp_path) / "affnist").mkdir()
    with zipfile.ZipFile(tmp_path / "affnist" / "test_batches.zip", "w") as archive:
        for number in (2, 1):
            archive.writestr(f"test_batches/{number}.mat", affnist_bytes(pixels(1, 40, 40), np.array([number])))
        archive.writestr("__MACOSX/test_batches/._1.mat", b"no data")
    assert load_data("affnist", data_dir=tmp_path).test.labels.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"other": np.zeros(3)}, "holds no variable 'affNISTdata'"),
        ({"affNISTdata": np.zeros(3)}, "must be one struct with a field 'image'"),
        ({"affNISTdata": {"image": pixels(1600, 3)}}, "with a field 'label_int'"),
        ({"affNISTdata": {"image": pixels(3, 1600), "label_int": [[1, 2, 3]]}}, "must be 1600xn of uint8 .*got 3x1600"),
        ({"affNISTdata": {"image": np.zeros((1600, 3)), "label_int": [[1, 2, 3]]}}, "1600x3 of float64"),
        ({"affNISTdata": {"image": pixels(784, 3), "label_int": [[1, 2, 3]]}}, "got 784x3"),
        ({"affNISTdata": {"image": pixels(1600, 3), "label_int": [[1, 2]]}}, "holds 3 images but 2 labels"),
        ({"affNISTdata": {"image": pixels(1600, 3), "label_int": [[1, 2, 10]]}}, "labels must be 0 to 9, got 10"),
    ],
)
def test_wrong_content_is_named_with_the_check_that_failed(tmp_path, values, words):
    (write_mnist(tmp_path) / "affnist").mkdir()
    savemat(tmp_path / "affnist" / "test.mat", values)
    with pytest.raises(UserError, match=words) as fault:
        load_data("affnist", data_dir=tmp_path)
    assert str(tmp_path / "affnist" / "test.mat") in str(fault.value)


@pytest.mark.parametrize("length", [0, 300, -40])
def test_cut_off_zip_is_named(tmp_path, length):
    path = write_affnist(tmp_path) / "affnist" / "test.mat.zip"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=r"test\.mat\.zip: truncated or corrupt zip"):
        load_data("affnist", data_dir=tmp_path)


def test_zip_without_a_mat_file_is_refused(tmp_path):
    path = write_affnist(tmp_path) / "affnist" / "test.mat.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(UserError, match=r"test\.mat\.zip holds no \.mat file"):
        load_data("affnist", data_dir=tmp_path)


def test_missing_file_says_where_it_is_and_what_to_use_instead(tmp_path):
    write_mnist(tmp_path)
    with pytest.raises(UserError, match=r"fetch https://.*test\.mat\.zip into that folder .* affnist-like"):
        load_data("affnist", data_dir=tmp_path)


def write_zip(root, *members, method=zipfile.ZIP_DEFLATED):
    (root / "affnist").mkdir(exist_ok=True)
    path = root / "affnist" / "test_batches.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(name, content)
    return path


BATCH = affnist_bytes(pixels(1, 40, 40), np.array([1]))


@pytest.mark.parametrize(
    ("members", "method", "words"),
    [
        ([("1.mat", BATCH), ("1.mat", BATCH)], zipfile.ZIP_DEFLATED, "holds '1.mat' more than once"),
        ([("a/1.mat", BATCH), ("b/1.mat", BATCH)], zipfile.ZIP_DEFLATED, "holds 'b/1.mat' more than once"),
        ([("../1.mat", BATCH)], zipfile.ZIP_DEFLATED, "'../1.mat' has a name that leads out of it"),
        ([("/1.mat", BATCH)], zipfile.ZIP_DEFLATED, "has a name that leads out of it"),
        ([("a\nb/1.mat", BATCH)], zipfile.ZIP_DEFLATED, r"a\\nb/1.mat' has a name"),
        ([("1.mat", BATCH)], zipfile.ZIP_LZMA, "is packed by method 14, not by deflate"),
        ([("1.mat", BATCH[:1000])], zipfile.ZIP_DEFLATED, "zip: 1.mat: truncated or damaged MATLAB 5 file"),
    ],
)
def test_odd_zip_is_refused_in_one_line(tmp_path, members, method, words):
    path = write_zip(write_mnist(tmp_path), *members, method=method)
    with pytest.raises(UserError, match=words) as fault:
        load_data("affnist", data_dir=tmp_path)
    assert str(fault.value).startswith(str(path))
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (8, b"\1\0", "'1.mat' is encrypted"),
        (10, b"\x63\0", "is packed by method 99"),
        (24, b"\xff\xff\xff\x7f", "is 2,147,483,647 bytes large, more than 1,073,741,824"),
        (16, b"\0\0\0\0", "truncated or corrupt zip archive .Bad CRC-32"),
        (20, b"\x10\0\0\0", "truncated or corrupt zip archive"),
        (42, b"\x10\0\0\0", "truncated or corrupt zip archive .Bad magic number"),
    ],
)
def test_damaged_entry_of_the_directory_is_named(tmp_path, place, value, words):
    path = write_zip(write_mnist(tmp_path), ("1.mat", BATCH))
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\1\2") + place
    data[start : start + len(value)] = value
    path.write_bytes(data)
    with pytest.raises(UserError, match=words) as fault:
        load_data("affnist", data_dir=tmp_path)
    assert str(fault.value).startswith(str(path))


def test_name_in_the_directory_that_is_not_text_is_refused_in_one_line(tmp_path):
    path = write_zip(write_mnist(tmp_path), ("1.mat", BATCH))
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\1\2")
    # marked as UTF-8
    data[entry + 9] |= 8
    data[entry + 46] = 0xFF
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"truncated or corrupt zip archive .*decode byte 0xff"):
        load_data("affnist", data_dir=tmp_path)


def test_more_images_than_the_official_set_holds_are_refused_unread(tmp_path):
    write_mnist(tmp_path)
    data = bytearray(affnist_bytes(pixels(2, 40, 40), np.array([1, 2]), compressed=False))
    # the sizes of `image`, 1600x2
    place = data.index(np.array([1600, 2], "<i4").tobytes())
    data[place + 4 : place + 8] = np.array([400_000], "<i4").tobytes()
    (tmp_path / "affnist").mkdir()
    (tmp_path / "affnist" / "test.mat").write_bytes(data)
    with pytest.raises(UserError, match="image must take at most 512,000,000 bytes, got 1600x400000 of uint8"):
        load_data("affnist", data_dir=tmp_path)


def test_fewer_test_images_than_the_official_ones_are_named(tmp_path):
    (note,) = load_data("affnist", data_dir=write_affnist(tmp_path)).notes
    assert note.startswith("affNIST has 320,000 test images, ")
    assert note.endswith(" 10.")
