import pytest
import torch
from torch import nn

from capsnet.analysis.iterations import measure_iterations, route, route_at_random, say_iterations
from capsnet.capsules import Capsules
from capsnet.data import ImageData
from capsnet.errors import UserError
from capsnet.models import create_model
from capsnet.routing import DynamicRouting, dynamic_routing


def test_route_is_the_plain_function_and_leaves_the_routing_alone():
    routing, votes = DynamicRouting(5, 3, parent_dim=4, iterations=3, bias=True), torch.randn(2, 5, 3, 4)
    nn.init.normal_(routing.bias)
    output = route(routing, votes, Capsules(torch.ones(2, 5, 3), torch.ones(2, 5)), 2)
    assert torch.equal(output.poses, dynamic_routing(votes, 2, bias=routing.bias).poses)
    assert routing.iterations == 3


def test_one_iteration_is_uniform_and_flips_nothing_against_itself(make_subject):
    model, data = make_subject()
    found = measure_iterations(model, data, beyond=1, more=(7,))
    assert [step["iterations"] for step in found["steps"]] == [1, 2, 3, 4, 7]
    first, own = found["steps"][0], found["steps"][2]
    assert first["flipped_from_first"]["count"] == own["flipped_from_own"]["count"] == 0
    assert first["t_score"] == pytest.approx(0, abs=1e-6)
    assert [step["coupling_change"] is None for step in found["steps"]] == [True, False, False, False, True]
    assert "uniform" in say_iterations(found)


def test_the_models_own_number_gives_its_own_accuracy(make_subject):
    model, data = make_subject()
    found = measure_iterations(model, data)
    predicted = model(data.images.float() / 255).lengths.argmax(dim=1)
    own = next(step for step in found["steps"] if step["iterations"] == found["own"])
    assert own["accuracy"]["count"] == int((predicted == data.labels).sum())


def test_coupling_change_is_half_the_absolute_difference(make_subject):
    model, data = make_subject()
    found = measure_iterations(model, data, beyond=0, more=())
    model.requires_grad_(False)
    children = model.primary_capsules(model.stem(data.images.float() / 255).relu())
    votes = torch.einsum("bic,icjd->bijd", children.poses, model.class_capsules.weight)
    moved = dynamic_routing(votes, 2).coupling - dynamic_routing(votes, 1).coupling
    expected = float(moved.abs().sum(dim=-1).mean() / 2)
    assert found["steps"][1]["coupling_change"] == pytest.approx(expected, rel=1e-3)


def test_random_shares_differ_between_samples_and_repeat_with_the_seed():
    votes = torch.randn(1, 1, 3, 4).expand(2, 6, 3, 4)
    routing = DynamicRouting(6, 3, parent_dim=4)
    lengths = route_at_random(routing, votes, torch.Generator().manual_seed(0))
    # the sum over children of a share times the same vote: six shares of mean 1/3
    assert lengths.shape == (2, 3)
    assert not torch.equal(lengths[0], lengths[1])
    again = route_at_random(routing, votes, torch.Generator().manual_seed(0))
    assert torch.equal(lengths, again)


def test_a_model_without_capsule_layer_is_refused(make_subject):
    _, data = make_subject()
    model = create_model("em-capsnet-tiny", image_shape=(1, 20, 20), num_classes=10)
    with pytest.raises(UserError, match="no layer in which every capsule votes"):
        measure_iterations(model, data)


def test_model_whose_classes_are_no_activations_is_refused():
    model = create_model("attention-capsnet-small", image_shape=(1, 32, 32), num_classes=3).eval()
    model.class_names = ("a", "b", "c")
    images = torch.randint(0, 256, (6, 1, 32, 32), dtype=torch.uint8)
    with pytest.raises(UserError, match="does not score its classes"):
        measure_iterations(model, ImageData(images, torch.arange(6) % 3, model.class_names), beyond=0, more=())


def test_model_that_scores_otherwise_than_by_its_last_layer_is_refused(make_subject, monkeypatch):
    model, data = make_subject()
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda x: forward(x)._replace(lengths=forward(x).lengths.flip(1)))
    with pytest.raises(UserError, match="does not score its classes"):
        measure_iterations(model, data)
