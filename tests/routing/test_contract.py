"""One contract for every registered routing; exceptions are declared in its class, and checked to be ones."""

from functools import partial

import pytest
import torch
from tests.routing.contract import CHECKS, child_dim, make
from torch.testing import assert_close

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
