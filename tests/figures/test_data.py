import pytest
import torch

from capsnet.data import Dataset, ImageData, load_data
from capsnet.figures.data import draw_data
from capsnet.figures.style import to_png


def test_counts_are_those_of_the_data():
    data = load_data("digits")
    texts = [text.get_text() for text in draw_data(data).axes[0].texts if text.get_gid() == "count"]
    expected = zip(data.train.counts(), data.test.counts(), strict=True)
    assert texts == [f"{train:,} + {test:,}" for train, test in expected]


@pytest.mark.parametrize(("shape", "classes"), [((3, 20, 90), 2), ((1, 100, 30), 45), ((2, 32, 32), 3)])
def test_any_shape_and_number_of_classes_draws(shape, classes):
    images = torch.randint(0, 256, (classes, *shape), dtype=torch.uint8)
    part = ImageData(images, torch.arange(classes), tuple(f"名 $c_{k}$" for k in range(classes)))
    assert to_png(draw_data(Dataset("photos/of things", part, part)))


def test_a_class_without_training_images_draws():
    images = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    part = ImageData(images, torch.tensor([1]), ("empty", "full"))
    assert to_png(draw_data(Dataset("small", part, part)))
