"""Concurrent routing, and what the authors' code does."""

import pytest
import torch

from capsnet import create_model
from capsnet.errors import UserError

SMALL = {"image_shape": (1, 14, 14), "stages": ((4, 1, 1), (6, 1, 2)), "num_types": (2, 3, 2), "num_classes": 3}


def test_each_layer_sees_the_iteration_before_of_its_children_and_of_itself():
    model = create_model("attention-capsnet", iterations=3, **SMALL).eval()
    images = torch.rand(2, 1, 14, 14)
    # by hand: every layer as a sum over the children of each place, with the coupling of the old poses
    values = [model.primary_capsules(model.trunk(images))]
    for layer in model.capsule_layers:
        values.append(layer(values[-1]))
    for _ in range(2):
        new = [values[0]]
        for number, layer in enumerate(model.capsule_layers):
            votes = layer.votes(layer.gather(values[number]))
            old = values[number + 1].poses.reshape(len(votes), votes.shape[2], votes.shape[3])
            coupling = (torch.einsum("bjd,bijd->bij", old, votes) / votes.shape[3] ** 0.5).softmax(dim=2)
            poses = layer.routing.norm(torch.einsum("bij,bijd->bjd", coupling, votes))
            new.append(values[number + 1]._replace(poses=poses.reshape(values[number + 1].poses.shape)))
        values = new
    torch.testing.assert_close(model(images).capsules.poses, values[-1].poses)


def test_one_iteration_is_the_same_in_both_schedules():
    model, other = (
        create_model("attention-capsnet", iterations=1, schedule=s, **SMALL).eval()
        for s in ("concurrent", "sequential")
    )
    other.load_state_dict(model.state_dict())
    images = torch.rand(2, 1, 14, 14)
    torch.testing.assert_close(model(images).lengths, other(images).lengths)


def test_classes_are_read_from_their_poses():
    model = create_model("attention-capsnet", **SMALL).eval()
    out = model(torch.rand(2, 1, 14, 14))
    torch.testing.assert_close(
        out.lengths, (out.capsules.poses @ model.read.weight[0] + model.read.bias).softmax(dim=1)
    )
    torch.testing.assert_close(out.lengths.sum(dim=1), torch.ones(2))


@pytest.mark.parametrize(
    ("options", "words"), [({"iterations": 0}, "at least 1, got 0"), ({"num_types": (2, 3)}, "three numbers")]
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        create_model("attention-capsnet", **{**SMALL, **options})
