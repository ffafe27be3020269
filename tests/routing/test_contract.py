"""One contract for every registered routing; exceptions are declared in its class, and checked to be ones."""

import pytest
from tests.routing.contract import CHECKS, child_dim, make

from capsnet.errors import UserError
from capsnet.routing import ROUTINGS, DynamicRouting, make_routing

routings = pytest.mark.parametrize("name", ROUTINGS.names())


@routings
@pytest.mark.parametrize("check", CHECKS)
def test_routing_keeps_the_contract(name, check):
    CHECKS[check](ROUTINGS.get(name))


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
