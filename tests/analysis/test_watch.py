import pytest
import torch
from torch import nn

from capsnet.analysis.watch import find_class_layer, find_lengths, view, watch
from capsnet.errors import UserError
from capsnet.models import CapsuleModel


def test_watch_catches_the_children_and_leaves_no_hook(make_subject):
    model, data = make_subject()
    with torch.no_grad():
        batches = list(watch(model, data, batch_size=3))
    assert [len(batch.labels) for batch in batches] == [3, 3, 2]
    children = torch.cat([batch.children.poses for batch in batches])
    expected = model.primary_capsules(model.stem(view(model, data)).relu()).poses
    assert torch.allclose(children, expected, atol=1e-5)
    assert not find_class_layer(model)._forward_pre_hooks


def test_a_model_of_another_kind_shows_no_children(make_subject):
    model, data = make_subject()

    class Other(CapsuleModel):
        """Gives a capsule model's output without a capsule layer of its own."""

        def __init__(self):
            super().__init__(data.image_shape, 10)
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, images):
            return model(self.scale * images)

    assert [batch.children for batch in watch(Other(), data)] == [None]
    with pytest.raises(UserError, match="no layer in which every capsule votes"):
        find_class_layer(Other())


def test_lengths_are_those_of_the_model_whatever_the_batch(make_subject):
    model, data = make_subject()
    images = view(model, data)
    assert torch.allclose(find_lengths(model, images, batch_size=3), model(images).lengths, atol=1e-6)
