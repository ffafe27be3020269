"""Small models with random weights, and images for them."""

import pytest
import torch

from capsnet.data import ImageData
from capsnet.models import create_model


@pytest.fixture
def make_subject():
    """Makes an untrained model with two random images of each of its classes."""

    def make(classes=4, shape=(1, 20, 20), **options):
        model = create_model("capsnet-tiny", image_shape=shape, num_classes=classes, **options).eval()
        # long capsules, as in a trained model: fresh ones agree on nothing
        with torch.no_grad():
            model.primary_capsules.conv.weight.mul_(20)
        model.class_names = tuple(f"class {k}" for k in range(classes))
        images = torch.randint(0, 256, (2 * classes, *shape), dtype=torch.uint8)
        return model, ImageData(images, torch.arange(2 * classes) % classes, model.class_names)

    return make
