from dataclasses import replace

import pytest
import torch
from tests.official import write_mnist

from capsnet.data import ImageData
from capsnet.data.pairs import Pairing
from capsnet.errors import UserError
from capsnet.figures.draw import plan
from capsnet.figures.pairs import draw_pair_reconstructions, in_two_colors
from capsnet.figures.style import to_png
from capsnet.figures.subject import Subject, sample_pairs
from capsnet.models import create_model
from capsnet.recipes import RECIPES
from capsnet.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on pairs of made-up digits."""
    folder = tmp_path_factory.mktemp("pairs")
    config = RECIPES.get("sabour2017-multimnist").config.change(
        data_dir=str(write_mnist(folder / "data", 40)),
        model="capsnet-tiny",
        steps=2,
        batch_size=8,
    )
    return train(config, out=folder / "run")


@pytest.fixture
def data():
    return ImageData(
        torch.randint(0, 256, (30, 1, 12, 12), dtype=torch.uint8), torch.arange(30) % 10, tuple("abcdefghij")
    )


def test_where_both_are_bright_it_is_white():
    first, second = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[0.0, 1.0, 1.0]])
    colors = in_two_colors(first[None, None], second[None, None])[0, :, 0].T
    assert colors.tolist() == [[1, 0, 1], [0, 1, 0], [1, 1, 1]]


def test_found_and_missed_pairs_are_named(data):
    model = create_model("capsnet-tiny", image_shape=(1, 20, 20)).eval()
    figure = draw_pair_reconstructions(model, data, Pairing())
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert len(words) >= 8
    assert any("\n→ " in word for word in words)
    assert to_png(figure)


def test_colour_images_and_models_without_a_decoder_are_refused(data):
    model = create_model("capsnet-tiny", image_shape=(1, 20, 20), decoder=False).eval()
    with pytest.raises(UserError, match="no decoder"):
        draw_pair_reconstructions(model, data, Pairing())
    with pytest.raises(UserError, match="grey images only"):
        draw_pair_reconstructions(model, replace(data, images=data.images.expand(-1, 3, -1, -1)), Pairing())


def test_pair_counts_as_right_for_a_class_where_its_base_digit_is_found(data):
    model = create_model("capsnet-tiny", image_shape=(1, 20, 20)).eval()
    seen = sample_pairs(model, data, Pairing())
    top = seen.capsules.activations.topk(2, dim=1).indices
    assert seen.correct.equal((top == seen.data.labels[:, None]).any(dim=1))
    assert seen.data.image_shape == (1, 20, 20)


def test_figures_of_a_run_on_pairs(run, capsys):
    names = {name for drawings in plan(Subject(run)).values() for name in drawings}
    assert {"pairs", "coupling", "confusion", "manipulate-3"} <= names
    assert "reconstructions" not in names
    assert capsys.readouterr().err == ""
