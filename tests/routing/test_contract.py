"""One contract for every registered routing; exceptions are declared in its class, and checked to be ones."""

from functools import partial

import pytest
import torch
from tests.routing.contract import CHECKS, child_dim, make
from torch.testing import assert_close

from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.routing import (
    ROUTINGS,
    DynamicRouting,
    Routing,
    em_routing,
    make_routing,
    self_routing,
    variational_bayes_routing,
)

routings = pytest.mark.parametrize("name", ROUTINGS.names())


@routings
@pytest.mark.parametrize("check", CHECKS)
def test_routing_keeps_the_contract(name, check):
    CHECKS[check](ROUTINGS.get(name))


OPTIONS = [
    ("dynamic", {"bias": True, "leaky": True}),
    ("dynamic", {"bias": True, "gradient": "last"}),
    ("em", {"form": "authors", "batch_norm": True, "recompute": True}),
    ("heinsen", {"normalize": "layer", "iterations": 3}),
    ("heinsen", {"normalize": None}),
    ("variational-bayes", {"start": "types", "batch_norm": False, "recompute": True}),
]


@pytest.mark.parametrize("check", ["parents limited per sample", "sample without parents"])
@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_options_limit_the_parents_of_a_sample(name, options, check):
    CHECKS[check](partial(ROUTINGS.get(name), **options))


def test_all_routings_limit_the_parents_of_a_sample_unless_they_say_so():
    assert Routing.limits_parents is False
    assert all(ROUTINGS.get(name).limits_parents for name in ROUTINGS.names())


@routings
@pytest.mark.usefixtures("unchecked")
def test_routing_refuses_what_it_does_not_know(name):
    build = ROUTINGS.get(name)
    with pytest.raises(TypeError):
        build(5, 3, parent_dim=6, no_such_option=1)
    if make(build).iterations is not None:
        with pytest.raises(UserError, match="iterations must be at least 1, got 0"):
            build(5, 3, parent_dim=6, iterations=0, **child_dim(build))


def test_routing_given_as_an_object_must_fit_its_layer():
    routing = DynamicRouting(5, 3, parent_dim=6)
    assert make_routing(routing, 5, 3, child_dim=4, parent_dim=6) is routing
    with pytest.raises(UserError, match=r"\(5, 3, 8\), got \(5, 3, 6\)"):
        make_routing(routing, 5, 3, child_dim=4, parent_dim=8)


@pytest.mark.parametrize(
    ("name", "function", "options"),
    [
        ("em", em_routing, {}),
        ("variational-bayes", variational_bayes_routing, {"batch_norm": False}),
        ("self-routing", self_routing, {}),
    ],
)
def test_routing_of_votes_and_activations_alone_is_that_of_a_new_module(name, function, options):
    votes, activations = torch.randn(2, 5, 3, 4), torch.rand(2, 5)
    module = make_routing(name, 5, 3, child_dim=4, parent_dim=4, options=options)
    assert_close(function(votes, activations)[:3], module(votes, activations)[:3], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["em", "variational-bayes", "self-routing", "heinsen"])
def test_routing_sums_in_float32_under_autocast(name):
    votes, activations, poses = torch.randn(2, 5, 3, 4), torch.rand(2, 5), torch.randn(2, 5, 4)
    routing = make_routing(name, 5, 3, child_dim=4, parent_dim=4)
    expected = routing(votes, activations, poses=poses)
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(routing(votes, activations, poses=poses)[:3], expected[:3], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("em", {"batch_norm": "false"}, "batch_norm must be True or False, got 'false'"),
        ("dynamic", {"leaky": 1}, "leaky must be True or False, got 1"),
        ("em", {"competition": "all"}, "competition must be 'layer' or 'window', got 'all'"),
    ],
)
def test_another_word_or_truth_value_is_refused(name, options, words):
    with pytest.raises(UserError, match=words):
        make_routing(name, 5, 3, child_dim=4, parent_dim=4, options=options)


def test_an_object_for_children_of_another_dimension_is_refused():
    routing = make_routing("self-routing", 5, 3, child_dim=4, parent_dim=4)
    with pytest.raises(UserError, match="routing must have child_dim 6, got 4"):
        make_routing(routing, 5, 3, child_dim=6, parent_dim=4)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["dynamic", "em", "variational-bayes", "heinsen", "inverted-dot-product", "max-min"])
def test_iterations_of_a_module_are_a_whole_number(name):
    extra = {"child_dim": 4} if name == "heinsen" else {}
    with pytest.raises(UserError, match=r"iterations must be a whole number, got 2\.5"):
        ROUTINGS.get(name)(5, 3, parent_dim=4, iterations=2.5, **extra)


@pytest.mark.usefixtures("unchecked")
def test_a_mask_of_numbers_is_refused():
    children = Capsules(torch.randn(2, 5, 4), torch.rand(2, 5), mask=torch.ones(2, 5))
    with pytest.raises(UserError, match=r"mask must be torch\.bool, got torch\.float32; use mask\.bool\(\)"):
        DynamicRouting(5, 3, parent_dim=4).route_children(children, torch.randn(5, 4, 3, 4))
