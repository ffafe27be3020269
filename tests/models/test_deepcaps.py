"""DeepCaps: its number of parameters counted by hand, and its two ways through a cell."""

import pytest
import torch

from capsnet import create_model
from capsnet.errors import UserError
from capsnet.layers import SharedDecoder, VolumeCapsules
from capsnet.models.deepcaps import CapsuleCell
from capsnet.runs.weights import count_parameters

SMALL = {"stem_channels": 6, "num_types": 3, "pose_dims": (2, 4, 4, 4), "parent_dim": 5, "image_shape": (1, 20, 20)}


@pytest.mark.parametrize(
    ("shape", "capsules", "expected"), [((1, 28, 28), 640, 8_441_920), ((3, 64, 64), 2560, 13_359_424)]
)
def test_parameters_are_those_of_the_layers(shape, capsules, expected):
    stem = 9 * shape[0] * 128 + 128 + 2 * 128
    first = 4 * 9 * 128 * 128
    second = 9 * 128 * 256 + 3 * 9 * 256 * 256
    third = 4 * 9 * 256 * 256
    fourth = 3 * 9 * 256 * 256 + 8 * 9 * 256 + 256
    classes = capsules * 8 * 10 * 32 + 10 * 32
    assert stem + first + second + third + fourth + classes == expected
    with torch.device("meta"):
        assert count_parameters(create_model("deepcaps", image_shape=shape, decoder=False)) == expected


def test_decoder_has_the_parameters_of_its_layers():
    linear, norm = 33 * 7 * 7 * 16, 2 * 16
    convs = sum(9 * one * two + two for one, two in ((16, 64), (64, 32), (32, 16), (16, 1)))
    assert count_parameters(SharedDecoder(32, (1, 28, 28))) == linear + norm + convs == 58_417


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (2, 33, 50), (1, 3, 5)])
def test_decoder_draws_images_of_any_size(shape):
    drawn = SharedDecoder(4, shape)(torch.randn(2, 3, 4), torch.tensor([0, 2]))
    assert drawn.shape == (2, *shape)
    assert 0 <= drawn.min() <= drawn.max() <= 1


def test_decoder_does_not_know_the_class():
    decoder, pose = SharedDecoder(4, (1, 14, 14)).eval(), torch.randn(4)
    poses = torch.randn(2, 3, 4)
    poses[0, 1], poses[1, 2] = pose, pose
    one, two = decoder(poses, torch.tensor([1, 2]))
    torch.testing.assert_close(one, two)


def test_cell_adds_the_deep_way_and_the_routed_one():
    cell, maps = CapsuleCell(6, 3, 4, iterations=2), torch.randn(2, 6, 9, 9)
    entered = cell.entry(maps)
    assert isinstance(cell.skip, VolumeCapsules)
    assert cell.skip.iterations == 2
    expected = cell.deep[1](cell.deep[0](entered)).poses + cell.skip(entered).poses
    torch.testing.assert_close(cell(maps).poses, expected)


def test_capsules_of_the_last_two_cells_are_routed():
    model = create_model("deepcaps", **SMALL).eval()
    found = [model.stem_norm(model.stem(torch.rand(2, 1, 20, 20)).relu())]
    for cell in model.cells:
        found.append(cell(found[-1]))
    assert [capsules.grid for capsules in found[3:]] == [(3, 3), (2, 2)]
    assert model.class_capsules.num_children == 3 * (9 + 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pose_dims": (2, 4, 4)}, "four numbers"),
        ({"pose_dims": (2, 4, 4, 8)}, "must be equal"),
        ({"iterations": 0}, "at least 1, got 0"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        create_model("deepcaps", **{**SMALL, **options})
