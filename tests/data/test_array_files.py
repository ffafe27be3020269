import zipfile

import numpy as np
import pytest
import torch
from tests.data.test_arrays import all_images, digits

from capsnet.data import load_data
from capsnet.data.array_files import load_arrays
from capsnet.errors import UserError


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
    path.write_text("a,b,Label,c,d\n" + "1,2,0,3,4\n5,6,1,7,8\n9,10,0,11,12\n13,14,1,15,160\n")
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
    with pytest.raises(UserError, match=r"own\.npz cannot be read as a \.npz file \(.*allow_pickle"):
        load_data(str(tmp_path / "own.npz"))


def test_damaged_npz_is_refused_wherever_it_is_cut(tmp_path):
    images, labels = digits()
    np.savez_compressed(tmp_path / "whole.npz", images=images, labels=labels)
    data = (tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "own.npz"
    for cut in range(0, len(data), 97):
        path.write_bytes(data[:cut])
        with pytest.raises(UserError, match=r"own\.npz cannot be read"):
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


def test_columns_of_a_table_are_ordered_by_the_numbers_in_their_names(tmp_path):
    names = [f"pixel{number}" for number in range(16)]
    rows = np.arange(4 * 16).reshape(4, 16)
    order = sorted(range(16), key=names.__getitem__)
    lines = ["label," + ",".join(names[k] for k in order)]
    lines += [f"{number % 2}," + ",".join(str(row[k]) for k in order) for number, row in enumerate(rows)]
    (tmp_path / "sorted.csv").write_text("\n".join(lines))
    dataset = load_arrays(tmp_path / "sorted.csv", pixel_range=(0.0, 255.0))
    read = torch.cat([dataset.train.images, dataset.test.images]).flatten(1).sort(dim=0).values
    assert read.tolist() == rows.tolist()


def test_arrays_that_are_not_read_are_named(tmp_path):
    images, labels = np.zeros((10, 4, 4), np.uint8), np.arange(10) % 2
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels, x_val=images, y_val=labels)
    assert "Not read, as their names are unknown: x_val, y_val." in load_arrays(tmp_path / "a.npz").notes
