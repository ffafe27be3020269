import zipfile

import numpy as np
import pytest
import torch

from capsnet.data import Dataset, hold_out, load_data
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
        (digits()[0], np.eye(4)[digits()[1]], r"got shape \(40, 4\); of one-hot rows take argmax"),
        (digits()[0], np.arange(40) * 100, "labels must be 0, 1 and so on, got 40 values up to 3900"),
        (digits()[0], np.zeros(40, int), "at least two classes"),
        (digits()[0], digits(39)[1], "40 images but 39 labels"),
        (np.zeros((40, 36), np.uint8), digits()[1], r"images must be m h w.*got shape \(40, 36\)"),
        (np.zeros((40, 3, 6, 3), np.uint8), digits()[1], "channels cannot be told from sides"),
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


@pytest.mark.parametrize("names", [("images", "labels"), ("x_train", "y_train")])
def test_npz_is_read(tmp_path, names):
    images, labels = digits()
    np.savez(tmp_path / "own.npz", **dict(zip(names, (images, labels), strict=True)))
    dataset = load_data(str(tmp_path / "own.npz"))
    assert all_images(dataset) == {image.tobytes() for image in images}
    assert 0 < len(dataset.test) < 40


def test_npz_of_keras_keeps_its_test_split(tmp_path):
    images, labels = digits()
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images[:4], y_test=labels[:4])
    assert len(load_data(str(tmp_path / "mnist.npz")).test) == 4


def write_csv(path, header=True, images=None, labels=None):
    given_images, given_labels = digits()
    images = given_images if images is None else images
    labels = given_labels if labels is None else labels
    rows = [",".join(map(str, [label, *image.flatten()])) for image, label in zip(images, labels, strict=True)]
    first = [",".join(["label", *(f"pixel{k}" for k in range(images[0].size))])] if header else []
    path.write_text("\n".join(first + rows) + "\n")
    return path


@pytest.mark.parametrize("header", [True, False])
def test_csv_of_pixels_is_read(tmp_path, header):
    dataset = load_data(str(write_csv(tmp_path / "train.csv", header)))
    assert all_images(dataset) == {image.tobytes() for image in digits()[0]}
    assert dataset.train.counts()[0] + dataset.test.counts()[0] == 10


def test_label_may_stand_in_any_named_column(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("a,b,Label,c,d\n" + "1,2,0,3,4\n5,6,1,7,8\n9,10,0,11,12\n13,14,1,15,16\n")
    dataset = load_data(str(path))
    assert bytes([1, 2, 3, 4]) in all_images(dataset)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pixel0,pixel1,pixel2,pixel3\n1,2,3,4\n", "has no column 'label', its first columns are pixel0, pixel1"),
        ("1,2,3,4\n5,6,7,8\n", "so there is no label column"),
        ("label,pixel0,pixel1\n0,1,2\n", "has 2 columns beside the label; a square image is needed"),
        ("0,1,2,3,4\n1,2,x,4,5\n", "cannot be read as a table of numbers"),
        ("0,1,2,3,4\n1,2,3\n", "cannot be read as a table of numbers"),
        ("label,a,b,c,d\n", "holds no rows"),
        ("", "has no column 'label'"),
        ("label,a,b,c,d\n1,1,2,3,4\n2,5,6,7,8\n", "labels must start at 0"),
        ("label,a,b,c,d\n0,1,2,3,nan\n1,5,6,7,8\n", "not finite"),
    ],
)
def test_other_tables_are_refused_by_name(tmp_path, text, words):
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"own\.csv.*{words}"):
        load_data(str(path))


def test_arrays_of_objects_are_never_loaded(tmp_path):
    np.savez(tmp_path / "own.npz", images=np.array([{}, {}], object), labels=np.arange(2))
    with pytest.raises(UserError, match=r"own\.npz: cannot be read as a \.npz file \(.*allow_pickle"):
        load_data(str(tmp_path / "own.npz"))


def test_damaged_npz_is_refused_wherever_it_is_cut(tmp_path):
    images, labels = digits()
    np.savez_compressed(tmp_path / "whole.npz", images=images, labels=labels)
    data = (tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "own.npz"
    for cut in range(0, len(data), 97):
        path.write_bytes(data[:cut])
        with pytest.raises(UserError, match=r"own\.npz: cannot be read"):
            load_data(str(path))


def test_npz_that_unpacks_to_very_much_is_refused_unread(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("images.npy", "w") as entry:
        for _ in range(300):
            entry.write(bytes(1 << 20))
    with pytest.raises(UserError, match=r"images\.npy unpacks from .* too much to read safely"):
        load_data(str(path))


def test_npz_without_the_arrays_is_refused_with_those_that_it_holds(tmp_path):
    np.savez(tmp_path / "own.npz", pictures=np.zeros(3))
    with pytest.raises(UserError, match="holds pictures; expected the arrays images and labels"):
        load_data(str(tmp_path / "own.npz"))


def test_a_file_of_another_kind_is_refused_with_what_is_read(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"is a file that holds no data set; give a folder .* \.npz .* \.csv"):
        load_data(str(tmp_path / "photo.png"))
