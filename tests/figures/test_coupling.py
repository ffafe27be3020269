from dataclasses import replace

import pytest
import torch

from capsnet.errors import UserError
from capsnet.figures.coupling import coupling_shares, describe_effect, draw_coupling, find_grid
from capsnet.figures.style import to_png
from capsnet.models import CapsuleModel, create_model
from capsnet.models.grid import Grid


def test_a_place_collects_all_types_of_its_own(tiny_subject):
    grid = Grid(rows=2, columns=3, step=2.0, first=8.5, window=17)
    coupling = torch.full((1, 24, 2), 0.5)
    # capsules are in the order row, column, type: row 1, column 2 holds the last four
    coupling[0, 20:] = torch.tensor([0.9, 0.1])
    shares = coupling_shares(coupling, grid)
    assert shares.shape == (1, 2, 2, 3)
    assert shares[0, :, 1, 2].tolist() == pytest.approx([1.8, 0.2])
    assert shares[0, 0].flatten()[:5].tolist() == pytest.approx([1.0] * 5)


def test_grid_of_the_paper():
    grid = find_grid(create_model("capsnet"))
    assert (grid.rows, grid.columns, grid.step, grid.window) == (6, 6, 2.0, 17)
    # the first window begins at the edge, the last ends one pixel before the other
    assert (grid.first - 8.5, grid.first + 5 * grid.step + 8.5) == (0, 27)


def test_grid_of_a_padded_network_begins_outside():
    grid = find_grid(create_model("capsnet-tiny", image_shape=(3, 24, 24), padding="same"))
    assert (grid.rows, grid.columns, grid.step, grid.window) == (12, 12, 2.0, 17)
    # 4 zeros before the image and 3 before its features; 4 and 4 after them
    assert (grid.first - 8.5, grid.first + 11 * grid.step + 8.5) == (-7, 32)


def test_of_a_stereo_pair_one_view_is_shown(colour_seen):
    axes = draw_coupling(*colour_seen(classes=3, shape=(2, 20, 20))).axes[0]
    assert axes.images[0].get_array().shape[:2] == (20, 20)


def test_winner_and_runner_up_are_named(tiny_subject):
    figure = draw_coupling(tiny_subject.model, tiny_subject.sample)
    assert len(figure.axes) == 3 * 6 + 1
    assert to_png(figure)


def test_one_class_has_no_runner_up(colour_seen):
    model, seen = colour_seen(classes=1, shape=(3, 30, 44))
    assert len(draw_coupling(model, seen).axes) == 2 + 1


def test_a_model_without_coupling_is_refused(tiny_subject):
    class Silent(CapsuleModel):
        def __init__(self, model):
            super().__init__(model.input_shape, len(model.class_names))
            self.model, self.grid = model, model.grid

        def forward(self, images):
            return self.model(images)._replace(coupling=None)

    with pytest.raises(UserError, match="returns no coupling"):
        draw_coupling(Silent(tiny_subject.model), replace(tiny_subject.sample))


def test_a_model_without_places_is_refused():
    with pytest.raises(UserError, match="no grid"):
        find_grid(create_model("baseline-cnn", channels=(), kernel_sizes=()))


def test_a_model_whose_capsules_see_the_whole_image_is_refused():
    with pytest.raises(UserError, match="covers the whole image"):
        find_grid(create_model("efficient-capsnet"))


@pytest.mark.parametrize(("away", "word"), [(0.01, "hardly any"), (0.05, "slight"), (0.3, "clear"), (2.0, "strong")])
def test_the_size_of_the_effect_is_said_in_words_and_numbers(away, word):
    text = describe_effect(torch.tensor([[[1 + away, 1 - away]]]))
    assert text.startswith(f"Effect size: {word}.")
    assert f"by {100 * away:.1f} % on average" in text
