"""Evidence: the gradient of a capsule's length with respect to the last feature maps."""

import pytest
import torch
from torch import nn

import capsnet
from capsnet.data import ImageData
from capsnet.errors import UserError
from capsnet.figures.evidence import draw_evidence, find_evidence
from capsnet.figures.subject import sample_images


def make(**options):
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 6, 3, 4, 1), nn.ReLU())
    return capsnet.create_model(
        "backbone-capsnet", image_shape=(3, 16, 24), num_classes=3, backbone=backbone, **options
    ).eval()


@pytest.mark.parametrize("frozen", [True, False])
def test_evidence_is_feature_maps_times_the_gradient_of_the_longest_length(frozen):
    model, images = make(frozen=frozen), torch.rand(2, 3, 16, 24)
    evidence, labels = find_evidence(model, images)
    maps = model.features(images).detach().requires_grad_()
    lengths = model.classify(maps).lengths
    assert torch.equal(labels, lengths.argmax(dim=1))
    (gradient,) = torch.autograd.grad(lengths.amax(dim=1).sum(), maps)
    assert evidence.shape == (2, 4, 6)
    assert torch.allclose(evidence, (gradient * maps).sum(dim=1).clamp(min=0))
    assert (evidence > 0).any()


def test_evidence_is_at_the_only_place_that_feeds_the_capsule():
    model = make()
    with torch.no_grad():
        # children are in the order row, column, type: keep those of row 1, column 2
        kept = model.class_capsules.weight[(1 * 6 + 2) * 16 : (1 * 6 + 3) * 16].clone()
        model.class_capsules.weight.zero_()
        model.class_capsules.weight[(1 * 6 + 2) * 16 : (1 * 6 + 3) * 16] = kept
    evidence, _ = find_evidence(model, torch.rand(4, 3, 16, 24))
    elsewhere = torch.ones(4, 6, dtype=torch.bool)
    elsewhere[1, 2] = False
    assert evidence[:, 1, 2].max() > 0
    assert not evidence[:, elsewhere].any()


def test_another_class_can_be_asked_for():
    model, images = make(), torch.rand(2, 3, 16, 24)
    labels = torch.tensor([2, 0])
    assert torch.equal(find_evidence(model, images, labels)[1], labels)


@pytest.mark.parametrize(
    ("name", "side", "grid"),
    [("capsnet", 28, (20, 20)), ("self-routing-capsnet", 16, (4, 4)), ("em-capsnet", 28, (12, 12))],
)
def test_maps_are_those_that_primary_capsules_read(name, side, grid):
    model = capsnet.create_model(name, image_shape=(1, side, side), num_classes=3).eval()
    evidence, _ = find_evidence(model, torch.rand(1, 1, side, side))
    assert evidence.shape[1:] == grid
    assert all(weight.grad is None for weight in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_network_without_positions_is_refused():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 3)

        def forward(self, images):
            poses = self.layer(images.flatten(1))[..., None]
            return capsnet.Capsules(poses, poses[..., 0].sigmoid())

    model = capsnet.models.custom.CustomModel(Flat(), (1, 8, 8), 3)
    with pytest.raises(UserError, match="no feature maps of several positions"):
        find_evidence(model, torch.rand(1, 1, 8, 8))


def test_figure_shows_each_image_twice():
    model = make()
    data = ImageData(torch.randint(256, (6, 3, 16, 24), dtype=torch.uint8), torch.arange(3).repeat(2), tuple("abc"))
    figure = draw_evidence(model, sample_images(model, data))
    assert len(figure.axes) == 2 * 3 + 1
    assert "4×6 positions" in figure.texts[1].get_text()
