"""A tiny run with its model and test images in memory."""

import pytest
import torch

from capsnet.data import ImageData
from capsnet.figures.subject import Subject, look_at
from capsnet.models import create_model


@pytest.fixture(scope="session")
def tiny_subject(tiny_run):
    return Subject(tiny_run)


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are built but not made into pixels, which takes most of the time."""
    monkeypatch.setattr("capsnet.figures.draw.to_png", lambda figure: b"pixels")


@pytest.fixture
def colour_seen():
    """Makes an untrained model with two random images of each of its classes."""

    def make(classes, shape):
        model = create_model("capsnet-tiny", image_shape=shape, num_classes=classes).eval()
        model.class_names = tuple(f"$x_{k}$ long name of a class" for k in range(classes))
        images = torch.randint(0, 256, (2 * classes, *shape), dtype=torch.uint8)
        return model, look_at(model, ImageData(images, torch.arange(2 * classes) % classes, model.class_names))

    return make
