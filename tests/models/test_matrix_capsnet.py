"""Geometry and coordinates of matrix capsules."""

import pytest
import torch

from capsnet import create_model
from capsnet.errors import UserError


def test_grids_are_the_papers():
    grids = []
    model = create_model("em-capsnet", sizes=(4, 2, 2, 2)).eval()
    for layer in (model.primary_capsules, *model.conv_capsules):
        layer.register_forward_hook(lambda _, children, parents: grids.append(parents.grid))
    model(torch.rand(1, 2, 32, 32))
    assert grids == [(14, 14), (6, 6), (4, 4)]
    assert model.class_capsules.kernel_size == (4, 4)


def test_coordinates_are_the_middle_of_what_a_place_sees():
    layer = create_model("em-capsnet-small").class_capsules
    offsets = layer.offsets.reshape(4, 4, 16, 16)  # row column type entry
    # a place sees 5 + 2 * 2 + 2 * 4 = 17 pixels from 4 times its row on: the middle is 8 pixels further
    torch.testing.assert_close(offsets[2, 1, 5, :3], torch.tensor([0.16, 0.12, 0.0]))


def test_coordinates_of_variational_bayes_stand_in_the_last_column():
    layer = create_model("vb-capsnet").class_capsules
    offset = layer.offsets.reshape(4, 4, 16, 4, 4)[2, 0, 3]
    expected = torch.zeros(4, 4)
    expected[0, 3], expected[1, 3] = 3 / 40, 1 / 40
    torch.testing.assert_close(offset, expected)


def test_authors_initialisation_is_theirs():
    model = create_model("em-capsnet", initialisation="authors")
    weights = [model.stem, model.primary_capsules.poses, model.primary_capsules.activations, *model.conv_capsules]
    for module, std in zip([*weights, model.class_capsules], (0.05, 0.5, 3.0, 0.3, 0.3, 0.01), strict=True):
        # cutting a normal at two standard deviations leaves 0.88 of its own
        assert abs(float(module.weight.detach().std()) / std - 0.88) < 0.04


def test_constants_are_those_of_the_authors_code_unless_the_papers_are_asked_for():
    model = create_model("em-capsnet-small")
    first, last = model.conv_capsules[0].routing, model.class_capsules.routing
    assert (first.form, first.inverse_temperature, last.inverse_temperature) == ("authors", 0.01, 0.0025)
    assert first.beta_use.eq(0.5).all()
    assert last.beta_use.eq(2).all()
    assert last.beta_activate.eq(1).all()
    plain = create_model("em-capsnet-small", em_form="paper").class_capsules.routing
    assert (plain.form, plain.inverse_temperature) == ("paper", 0.01)
    other = create_model(
        "em-capsnet-small", routing_options={"beta_use": 0.1, "recompute": True}
    ).class_capsules.routing
    assert other.beta_use.eq(0.1).all()
    assert (other.form, other.recompute) == ("authors", True)
    assert other.beta_activate.eq(1).all()


def test_glorots_initialisation_counts_all_numbers_of_a_pose():
    model = create_model("vb-capsnet")
    for layer, fans in zip([*model.conv_capsules, model.class_capsules], (9 * 24, 9 * 32, 21), strict=True):
        bound = (6 / (16 * fans)) ** 0.5
        assert 0.95 * bound < layer.weight.abs().max() <= bound


@pytest.mark.parametrize(
    ("options", "words"),
    [({"sizes": (4, 3, 3)}, "four numbers"), ({"routing": "inverted-dot-product"}, "computes no activations")],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        create_model("em-capsnet", **options)
