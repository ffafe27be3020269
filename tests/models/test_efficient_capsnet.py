"""Geometry and initialisation of Efficient-CapsNet."""

from math import sqrt

import pytest
import torch

from capsnet import create_model
from capsnet.errors import UserError


def test_sixteen_primary_capsules_whatever_the_image():
    for shape in ((1, 28, 28), (3, 33, 40)):
        assert create_model("efficient-capsnet", image_shape=shape, decoder=False).class_capsules.num_children == 16


def test_a_given_window_makes_primary_capsules_at_several_places():
    model = create_model("efficient-capsnet-multimnist", image_shape=(1, 44, 44), decoder=False)
    assert model.class_capsules.num_children == 2 * 2 * 16


def test_a_primary_capsule_is_eight_channels_squashed():
    model = create_model("efficient-capsnet", decoder=False).eval()
    images = torch.rand(2, 1, 28, 28)
    seen = []
    model.class_capsules.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(images)
    maps = model.primary(model.stem(images))[:, 8:16, 0, 0]
    lengths = maps.norm(dim=1)
    torch.testing.assert_close(seen[0].activations[:, 1], 1 - (-lengths).exp())
    torch.testing.assert_close(seen[0].poses[:, 1], maps / lengths[:, None] * (1 - (-lengths[:, None]).exp()))


def test_transformations_start_as_in_the_authors_code():
    weight = create_model("efficient-capsnet", decoder=False).class_capsules.weight.detach()
    assert abs(float(weight.std()) / sqrt(2 / (10 * 16 * 8)) - 1) < 0.03


@pytest.mark.parametrize(
    ("options", "words"),
    [({"num_types": 15}, "must be 128, got 15 times 8"), ({"routing": "inverted-dot-product"}, "no activation")],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        create_model("efficient-capsnet", **options)
