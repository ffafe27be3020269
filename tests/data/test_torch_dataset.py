"""Map-style data sets of PyTorch become data sets."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from capsnet import Dataset, UserError

LABELS = torch.arange(20) % 2
PIXELS = torch.arange(20 * 3 * 8 * 8, dtype=torch.int64).reshape(20, 3, 8, 8).remainder(251).to(torch.uint8)


class Pictures:
    """A map-style data set, as torchvision has them."""

    classes = ("cat", "dog")

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def rows(data):
    """Images with their labels in an order of their own."""
    return sorted(
        (image.tobytes(), label) for image, label in zip(data.images.numpy(), data.labels.tolist(), strict=True)
    )


def test_tensors_of_torch_give_the_data_set_of_the_arrays():
    ours, theirs = Dataset.from_torch(TensorDataset(PIXELS, LABELS)), Dataset.from_arrays(PIXELS, LABELS)
    assert (ours.train.images.equal(theirs.train.images), ours.train.class_names) == (True, ("0", "1"))


def test_floats_of_a_transform_are_the_pixels_again():
    data = Dataset.from_torch(TensorDataset(PIXELS / 255, LABELS), test=TensorDataset(PIXELS[:4] / 255, LABELS[:4]))
    assert data.test.images.equal(PIXELS[:4])


def test_images_of_pillow_and_names_of_classes_are_read():
    images = [Image.fromarray(np.moveaxis(image.numpy(), 0, -1)) for image in PIXELS]
    items = list(zip(images, LABELS.tolist(), strict=True))
    data = Dataset.from_torch(Pictures(items), test=Pictures(items))
    assert data.train.class_names == ("cat", "dog")
    assert rows(data.train) == rows(Dataset.from_arrays(PIXELS, LABELS, test=(PIXELS, LABELS)).train)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([(PIXELS[0], 0), (PIXELS[0][:, :4], 1)], r"dataset\[0\] is \(3, 8, 8\) uint8, dataset\[1\] is \(3, 4, 8\)"),
        ([(PIXELS[0], 0), (PIXELS[0] / 255, 1)], "one shape and type"),
        ([(PIXELS[0], 0.5)], "a label must be a whole number or a name, got 0.5"),
        ([(PIXELS[0], LABELS)], "a label must be"),
        ([PIXELS[0]], r"dataset\[0\] must be \(image, label\), got Tensor"),
        ([("photo.png", 0)], "must be one of Pillow, an array or a tensor, got str"),
        ([(Image.new("P", (8, 8)), 0)], "got mode P"),
        ([], "holds no images"),
    ],
)
def test_what_is_no_image_with_a_label_is_refused(items, message):
    with pytest.raises(UserError, match=message):
        Dataset.from_torch(Pictures(items))


def test_an_iterable_without_a_length_is_refused(unchecked):
    with pytest.raises(UserError, match="must be map-style"):
        Dataset.from_torch(iter([]))


def test_labels_of_the_test_split_are_matched_by_the_names_of_classes():
    train, test = Pictures(list(zip(PIXELS, LABELS.tolist(), strict=True))), Pictures([(PIXELS[0], 0), (PIXELS[1], 1)])
    test.classes = ("dog", "owl")
    with pytest.raises(UserError, match=r"test has images of the class 'owl', which dataset\.classes lacks"):
        Dataset.from_torch(train, test=test)
    test.items = [(PIXELS[0], 0), (PIXELS[2], 0)]
    assert Dataset.from_torch(train, test=test).test.labels.tolist() == [1, 1]


def test_tensors_of_bfloat16_are_read():
    data = Dataset.from_torch(TensorDataset((PIXELS / 255).bfloat16(), LABELS))
    assert len(data.train) + len(data.test) == len(PIXELS)
