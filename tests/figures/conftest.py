"""A tiny run with its model and test images in memory."""

import shutil
from dataclasses import replace

import pytest
import torch

from capsnet.analysis import ANALYSES, analyse
from capsnet.data import Dataset, ImageData
from capsnet.figures.draw import prepare_analyses
from capsnet.figures.subject import Subject, sample_images
from capsnet.models import create_model
from capsnet.runs import Run


@pytest.fixture(scope="session")
def tiny_subject(tiny_run):
    return Subject(tiny_run)


@pytest.fixture(scope="session")
def analysed(tiny_run, shared_folder):
    """A copy of the tiny run, without the checkpoint, in which every analysis was made."""

    def write(folder):
        unwanted = shutil.ignore_patterns("last", "figures", "analysis", "report.html")
        shutil.copytree(tiny_run.folder, folder / "run", ignore=unwanted)
        prepare_analyses(Subject(Run.open(folder / "run")), ANALYSES.names())

    return Run.open(shared_folder("analysed", write) / "run")


@pytest.fixture
def analysed_run(analysed, tmp_path):
    """A copy of it, to draw into."""
    shutil.copytree(analysed.folder, tmp_path / "analysed")
    return Run.open(tmp_path / "analysed")


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
        return model, sample_images(model, ImageData(images, torch.arange(2 * classes) % classes, model.class_names))

    return make


@pytest.fixture
def photos_seen(colour_seen):
    """An untrained model and wide colour images, all classified correctly."""
    model, seen = colour_seen(classes=3, shape=(3, 30, 44))
    return model, replace(seen.data, labels=seen.predicted)


@pytest.fixture
def quick_results():
    """Does an analysis with the few images of a report; gives its numbers."""

    def measure(name, model, data):
        return analyse(model, Dataset("photos", data, data), name, quick=True)["results"]

    return measure


@pytest.fixture
def texts():
    """Gives all that is written into a figure's axes."""

    def read(figure):
        return [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title, axes.xaxis.label)]

    return read
