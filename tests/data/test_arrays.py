import numpy as np
import pytest
import torch

from capsnet.data import Dataset, hold_out
from capsnet.errors import UserError


def digits(count=40, classes=4):
    """Different images, and labels in turn."""
    images = np.random.default_rng(0).integers(0, 256, size=(count, 6, 6)).astype(np.uint8)
    images[0, 0, :2] = 0, 255
    return images, np.arange(count) % classes


def all_images(dataset):
    return {image.numpy().tobytes() for part in (dataset.train, dataset.test) for image in part.images}


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images,
        lambda images: images[:, :, :, None],
        lambda images: images[:, None],
        lambda images: torch.from_numpy(images),
        lambda images: images.astype(np.int64),
        lambda images: images.astype(np.float32),
        lambda images: images / 255,
        lambda images: (images / 255).astype(np.float32),
    ],
)
def test_the_same_images_are_read_in_every_order_of_axes_and_type(change):
    images, labels = digits()
    dataset = Dataset.from_arrays(change(images), labels)
    assert all_images(dataset) == {image.tobytes() for image in images}
    assert dataset.input_shape == (1, 6, 6)


def test_colours_come_first():
    images = np.zeros((8, 5, 6, 3), np.uint8)
    images[..., 2] = 9
    dataset = Dataset.from_arrays(images, np.arange(8) % 2)
    assert dataset.input_shape == (3, 5, 6)
    assert dataset.train.images[0, :, 0, 0].tolist() == [0, 0, 9]


@pytest.mark.parametrize(
    ("values", "given", "levels", "chosen"),
    [
        (np.array([0, 512, 1023], np.uint16), None, [0, 128, 255], (0, 1023)),
        (np.array([0, 0.5, 1]), None, [0, 128, 255], (0, 1)),
        (np.array([0, 1, 1], np.int64), None, [0, 255, 255], (0, 1)),
        # the digits of scikit-learn are floats from 0 to 16
        (np.array([0.0, 8, 16]), None, [0, 128, 255], (0, 16)),
        (np.array([0.0, 51, 255]), None, [0, 51, 255], (0, 255)),
        (np.array([-1000.0, 0, 1000]), None, [0, 128, 255], (-1000, 1000)),
        (np.array([-1000.0, 0, 1000]), (0.0, 1000.0), [0, 0, 255], (0, 1000)),
        (np.array([0, 50, 100], np.uint8), (0.0, 100.0), [0, 128, 255], (0, 100)),
    ],
)
def test_one_range_scales_all_values(values, given, levels, chosen):
    images = np.repeat(values, 4).reshape(12, 1, 1)
    dataset = Dataset.from_arrays(images, np.arange(12) % 4, pixel_range=given)
    assert dataset.pixel_range == chosen
    both = torch.cat([dataset.train.images, dataset.test.images]).flatten().tolist()
    assert sorted(both) == sorted(levels * 4)


def test_given_test_images_are_kept():
    images, labels = digits()
    dataset = Dataset.from_arrays(images[:30], labels[:30], test=(images[30:], labels[30:]), class_names="abcd")
    assert (len(dataset.train), len(dataset.test)) == (30, 10)
    assert dataset.train.class_names == ("a", "b", "c", "d")


def test_position_does_not_decide_what_is_held_out():
    images, labels = digits(400)
    order = np.random.default_rng(1).permutation(400)
    one, two = Dataset.from_arrays(images, labels), Dataset.from_arrays(images[order], labels[order])
    for first, second in (
        (one.test, two.test),
        (hold_out(one.train, 0.2, seed=0)[1], hold_out(two.train, 0.2, seed=0)[1]),
    ):
        assert sorted(first.keys.tolist()) == sorted(second.keys.tolist())
    assert 40 < len(one.test) < 120


def test_words_are_class_names():
    images, _ = digits(8)
    dataset = Dataset.from_arrays(images, ["dog", "cat"] * 4)
    assert dataset.train.class_names == ("cat", "dog")
    assert dataset.train.counts()[0] + dataset.test.counts()[0] == 4


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (digits()[0], digits()[1] + 1, "labels must start at 0, got 1 to 4; subtract 1"),
        (digits()[0], digits()[1] - 1, "labels must be 0 to 2, got -1 to 2"),
        (digits()[0], digits()[1] + 0.5, "labels must be whole numbers"),
        (digits()[0], np.eye(4)[digits()[1]], r"got shape \(40, 4\); use argmax\(1\) for one-hot rows"),
        (digits()[0], np.arange(40) * 100, "labels must be 0, 1 and so on, got 40 values up to 3900"),
        (digits()[0], np.zeros(40, int), "at least two classes"),
        (digits()[0], digits(39)[1], "40 images but 39 labels"),
        (np.zeros((40, 36), np.uint8), digits()[1], r"images must be m h w.*got shape \(40, 36\)"),
        (np.zeros((40, 3, 6, 3), np.uint8), digits()[1], "are ambiguous: m c h w or m h w c"),
        (np.zeros((40, 6, 6, 2), np.uint8), digits()[1], "with 1 or 3 channels"),
        (np.zeros((0, 6, 6), np.uint8), np.zeros(0), "images hold no pixels"),
        (np.full((40, 6, 6), np.nan), digits()[1], "image 0 has values that are not finite"),
        (np.zeros((40, 6, 6), complex), digits()[1], "images must be uint8 or other numbers, got complex128"),
    ],
)
def test_other_arrays_are_refused(images, labels, words):
    with pytest.raises(UserError, match=words):
        Dataset.from_arrays(images, labels)


def test_labels_of_one_column_are_read():
    images, labels = digits()
    assert sum(Dataset.from_arrays(images, labels[:, None]).train.counts()) > 20


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(UserError, match="must be one array of numbers"):
        Dataset.from_arrays([[1], [1, 2]], [0, 1])


def test_two_classes_of_one_name_are_refused():
    with pytest.raises(UserError, match="class_names must differ from each other, got 'a' twice"):
        Dataset.from_arrays(np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], ["a", "a"])


@pytest.mark.parametrize(("train_scale", "test_scale"), [(1, 1 / 255), (1 / 255, 1)])
def test_training_and_test_images_in_different_units_are_refused(train_scale, test_scale):
    images, labels = digits()
    with pytest.raises(UserError, match="scale all to one range, or give pixel_range"):
        Dataset.from_arrays(images * float(train_scale), labels, test=(images[:8] * float(test_scale), labels[:8]))


def test_images_of_one_array_in_different_units_are_refused():
    images, labels = digits()
    mixed = images.astype(np.float32)
    mixed[::2] /= 255
    with pytest.raises(UserError, match="training images: the values of image 0 are at most 1, but 255 is white"):
        Dataset.from_arrays(mixed, labels)


def test_dark_images_of_whole_numbers_are_read_beside_bright_ones():
    images, labels = digits()
    images[3] = 0
    images[3, 2, 2] = 1
    assert all_images(Dataset.from_arrays(images.astype(np.float32), labels)) == {image.tobytes() for image in images}


def test_names_of_classes_may_be_objects():
    images, labels = digits()
    names = np.array(["ant", "bee", "cat", "dog"], dtype=object)[labels]
    assert Dataset.from_arrays(images, names).train.class_names == ("ant", "bee", "cat", "dog")


def test_bfloat16_images_are_read():
    images = torch.rand(40, 6, 6)
    dataset = Dataset.from_arrays(images.bfloat16(), digits()[1], pixel_range=(0.0, 1.0))
    assert dataset.train.images.float().mean() == pytest.approx(127, abs=12)


def test_pixels_that_are_not_finite_are_refused_with_a_given_range_too():
    images = np.zeros((4, 3, 3))
    images[1, 0, 0] = np.nan
    with pytest.raises(UserError, match="image 1 has values that are not finite"):
        Dataset.from_arrays(images, [0, 1, 0, 1], pixel_range=(0.0, 1.0))


def test_names_that_are_bytes_are_names():
    images = np.arange(40, dtype=np.uint8).reshape(10, 2, 2)
    assert Dataset.from_arrays(images, np.array([b"cat", b"d\xc3\xb6g"] * 5)).train.class_names == ("cat", "dög")


def test_almost_black_images_of_bytes_are_named():
    images, labels = digits()
    dataset = Dataset.from_arrays((images > 99).astype(np.uint8), labels)
    assert "Pixel values are 0 to 1 of 255, almost black: give pixel_range=(0, 1) if 1 is white." in dataset.notes
    given = Dataset.from_arrays((images > 99).astype(np.uint8), labels, pixel_range=(0.0, 1.0))
    assert given.train.images.unique().tolist() == [0, 255]


def test_a_given_range_must_fit_the_bytes_of_another_part():
    images, labels = digits()
    test = (images / 255).astype(np.float32), labels
    with pytest.raises(UserError, match="one type, got uint8 and another; convert one of them"):
        Dataset.from_arrays(images, labels, test=test)
    for pixel_range, part in (((0.0, 1.0), "training images"), ((0.0, 255.0), "test images")):
        with pytest.raises(UserError, match=f"{part}: its values are .*; scale its values to that range first"):
            Dataset.from_arrays(images, labels, test=test, pixel_range=pixel_range)


def test_one_class_is_refused_by_name_too():
    with pytest.raises(UserError, match="at least two classes are needed, got 1"):
        Dataset.from_arrays(digits()[0], ["cat"] * 40)
