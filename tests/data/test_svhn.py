import numpy as np
import pytest
from scipy.io import savemat
from tests.official import pixels, write_svhn

from capsnet.data import load_data
from capsnet.errors import UserError


def test_axes_are_turned_and_label_ten_is_the_digit_zero(tmp_path):
    dataset = load_data("svhn", data_dir=write_svhn(tmp_path))
    assert dataset.train.image_shape == (3, 32, 32)
    assert dataset.train.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
    stored = pixels(32, 32, 3, 12, seed=1)
    assert (dataset.test.images[7].numpy() == stored[..., 7].transpose(2, 0, 1)).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"X": pixels(32, 32, 3)}, "X must be 32x32x3xn of uint8, got 32x32x3 of uint8"),
        ({"X": pixels(12, 3, 32, 32)}, "got 12x3x32x32"),
        ({"X": np.zeros((32, 32, 3, 12))}, "of float64"),
        ({"y": np.ones((11, 1), np.uint8)}, "holds 12 images but 11 labels"),
        ({"y": np.array([["a"] * 12])}, "y must be an array of numbers, got text"),
        ({"y": np.zeros((12, 1), np.uint8)}, "labels must be 1 to 10 .*, got 0"),
        ({"y": np.full((12, 1), 2.5)}, "got 2.5"),
    ],
)
def test_file_of_the_wrong_shape_or_labels_is_named(tmp_path, change, words):
    path = write_svhn(tmp_path) / "svhn" / "test_32x32.mat"
    values = {"X": pixels(32, 32, 3, 12), "y": np.ones((12, 1), np.uint8), **change}
    savemat(path, values)
    with pytest.raises(UserError, match=words) as fault:
        load_data("svhn", data_dir=tmp_path)
    assert str(path) in str(fault.value)
    assert "\n" not in str(fault.value)


def test_missing_file_is_named(tmp_path):
    (write_svhn(tmp_path) / "svhn" / "test_32x32.mat").unlink()
    with pytest.raises(UserError, match=r"test_32x32\.mat: no such file; data_dir must hold"):
        load_data("svhn", data_dir=tmp_path)
