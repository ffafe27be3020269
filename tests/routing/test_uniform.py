"""No routing."""

import torch

from capsnet.functional import squash
from capsnet.routing import dynamic_routing, uniform_routing


def test_every_parent_gets_the_same_share_by_hand():
    votes = torch.tensor([[[[3.0, 0.0], [0.0, 1.0]], [[1.0, 8.0], [0.0, 1.0]]]])  # two children, two parents
    out = uniform_routing(votes)
    torch.testing.assert_close(out.poses[0], squash(torch.tensor([[2.0, 4.0], [0.0, 1.0]])))
    torch.testing.assert_close(out.coupling, torch.full((1, 2, 2), 0.5))


def test_it_is_dynamic_routing_with_one_iteration():
    votes = torch.randn(2, 7, 3, 4)
    for got, wanted in zip(uniform_routing(votes), dynamic_routing(votes, 1), strict=True):
        torch.testing.assert_close(got, wanted)
