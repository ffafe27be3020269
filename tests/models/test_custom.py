from types import SimpleNamespace

import pytest
import torch
from torch import nn

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.errors import UserError
from capsnet.layers import DenseCapsules, PrimaryCapsules
from capsnet.models import create_model
from capsnet.models.custom import as_capsule_model, class_of

SHAPE = (1, 12, 12)


class Own(nn.Module):
    """Two layers of capsules, which the package does not have."""

    def __init__(self, give=lambda found: found):
        super().__init__()
        self.primary = PrimaryCapsules(1, 2, pose_dim=4, kernel_size=5)
        self.classes = DenseCapsules(4 * 4 * 2, 3, child_dim=4, parent_dim=6)
        self.give = give

    def forward(self, images):
        return self.give(self.classes(self.primary(images)))


def as_output(found):
    return CapsNetOutput(Capsules(found.poses, found.activations), found.activations, found.coupling)


@pytest.mark.parametrize(
    "give",
    [
        lambda found: found,
        lambda found: Capsules(found.poses, found.activations),
        as_output,
        lambda found: SimpleNamespace(capsules=as_output(found).capsules, lengths=found.activations),
    ],
)
def test_a_module_becomes_a_model_when_its_output_has_capsules_and_lengths(give):
    module = Own(give)
    model = as_capsule_model(module, SHAPE, 3)
    images = torch.rand(2, *SHAPE)
    assert model(images).lengths.equal(module.classes(module.primary(images)).activations)
    assert (model.pose_dim, model.class_layer, model.has_decoder) == (6, module.classes, False)
    assert class_of(model) == "Own"


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Own(lambda found: found.poses), "its output must be a CapsNetOutput.* got Tensor"),
        (Own(lambda found: Capsules(found.poses[:, :2], found.activations[:, :2])), "must give lengths b x 3"),
        (nn.Linear(5, 3), "Linear cannot take images"),
    ],
)
def test_a_module_is_refused_when_it_does_not_keep_the_contract(module, words):
    with pytest.raises(UserError, match=words):
        as_capsule_model(module, SHAPE, 3)


def test_a_misspelled_loss_of_a_module_is_refused():
    module = Own()
    module.loss = "sprad"
    with pytest.raises(UserError, match="did you mean 'spread'"):
        as_capsule_model(module, SHAPE, 3)


def test_a_module_with_reconstruct_has_a_decoder():
    class Drawing(Own):
        def reconstruct(self, capsules, labels):
            return capsules.poses.new_zeros(len(capsules.poses), *SHAPE)

    model = as_capsule_model(Drawing(), SHAPE, 3)
    assert model.has_decoder
    assert model.reconstruct(model(torch.rand(2, *SHAPE)).capsules).shape == (2, *SHAPE)


def test_a_model_for_other_classes_or_images_is_refused():
    model = create_model("capsnet-tiny", num_classes=4)
    with pytest.raises(UserError, match="has 4 classes, the data 3"):
        as_capsule_model(model, (1, 28, 28), 3)
    with pytest.raises(UserError, match="is for images"):
        as_capsule_model(model, (1, 32, 32), 4)


def test_a_module_in_float64_is_wrapped():
    model = as_capsule_model(Own().double(), SHAPE, 3)
    assert model(torch.rand(2, *SHAPE).double()).lengths.dtype == torch.float64
    assert model.pose_dim == 6
