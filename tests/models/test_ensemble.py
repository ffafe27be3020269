import pytest
import torch

from capsnet import create_model
from capsnet.errors import UserError
from capsnet.models.ensemble import Ensemble


def networks(count, **options):
    return [create_model("capsnet-tiny", decoder=False, **options).eval() for _ in range(count)]


def test_the_class_is_that_of_the_largest_sum_of_lengths():
    members = networks(3)
    images = torch.rand(8, 1, 28, 28)
    with torch.no_grad():
        total = sum(member(images).lengths for member in members)
        output = Ensemble(members)(images)
    torch.testing.assert_close(3 * output.lengths, total)
    assert output.capsules.poses.shape == (8, 10, 48)


def test_one_network_alone_is_itself():
    (member,) = networks(1)
    images = torch.rand(2, 1, 28, 28)
    together = Ensemble([member])
    assert together(images).lengths.equal(member(images).lengths)
    assert together.input_shape == (1, 28, 28)
    assert together.class_names == member.class_names


def test_networks_of_different_kinds_may_be_asked_together():
    members = networks(1) + networks(1, parent_dim=8, stem_channels=8)
    assert Ensemble(members)(torch.rand(2, 1, 28, 28)).capsules.poses.shape == (2, 10, 24)


def test_networks_for_other_images_or_classes_are_refused():
    with pytest.raises(UserError, match=r"must agree on the size of their inputs: the first has .*number 2"):
        Ensemble(networks(1) + networks(1, image_shape=(1, 36, 36)))
    with pytest.raises(UserError, match="agree on their classes"):
        Ensemble(networks(1) + networks(1, num_classes=4))
    with pytest.raises(UserError, match="at least one network"):
        Ensemble([])


def test_the_loss_is_that_of_the_networks_if_they_share_one():
    first, second = (create_model("em-capsnet-tiny") for _ in range(2))
    assert Ensemble([first, second]).loss == first.loss == "spread"
