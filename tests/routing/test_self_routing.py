"""Facts of "Self-Routing Capsule Networks"."""

import math

import torch

from capsnet.routing import SelfRouting, self_routing


def test_routing_equals_the_equations_in_loops():
    children, parents, dim = 5, 3, 4
    votes, activations, logits = torch.randn(1, children, parents, dim), torch.rand(1, children), torch.randn(1, 5, 3)
    out = self_routing(votes, activations, logits)
    for j in range(parents):
        mass = []
        for i in range(children):
            terms = [math.exp(float(x)) for x in logits[0, i]]
            mass.append(float(activations[0, i]) * terms[j] / sum(terms))
        pose = [sum(m * float(votes[0, i, j, d]) for i, m in enumerate(mass)) / sum(mass) for d in range(dim)]
        torch.testing.assert_close(out.poses[0, j], torch.tensor(pose))
        torch.testing.assert_close(
            float(out.activations[0, j]), sum(mass) / float(activations.sum()), rtol=1e-5, atol=0
        )


def test_activations_of_all_parents_sum_to_one():
    out = self_routing(torch.randn(3, 5, 4, 2), torch.rand(3, 5), torch.randn(3, 5, 4))
    torch.testing.assert_close(out.activations.sum(dim=1), torch.ones(3))


def test_coupling_depends_on_the_childs_own_pose_only():
    routing = SelfRouting(5, 3, child_dim=4, parent_dim=2)
    torch.nn.init.normal_(routing.weight)
    votes, activations, poses = torch.randn(1, 5, 3, 2), torch.rand(1, 5), torch.randn(1, 5, 4)
    before = routing(votes, activations, poses=poses).coupling
    poses[0, 2] += 1.0
    after = routing(2 * votes, activations.flip(1), poses=poses).coupling
    changed = (before != after).any(dim=2)[0]
    assert changed.tolist() == [False, False, True, False, False]


def test_a_child_that_is_not_there_has_no_vote():
    votes, activations, logits = torch.randn(1, 5, 3, 4), torch.rand(1, 5), torch.randn(1, 5, 3)
    activations[0, 1] = 0.0
    rest = [0, 2, 3, 4]
    got, wanted = (
        self_routing(votes, activations, logits),
        self_routing(*(x[:, rest] for x in (votes, activations, logits))),
    )
    torch.testing.assert_close(got.poses, wanted.poses)
    torch.testing.assert_close(got.activations, wanted.activations)


def test_no_active_child_gives_zero_and_a_finite_gradient():
    votes, logits = torch.randn(1, 5, 3, 4, requires_grad=True), torch.randn(1, 5, 3)
    activations = torch.zeros(1, 5, requires_grad=True)
    out = self_routing(votes, activations, logits)
    (out.poses.sum() + out.activations.sum()).backward()
    assert out.poses.eq(0).all()
    assert activations.grad.isfinite().all()


def test_at_first_every_parent_gets_the_same_share():
    routing = SelfRouting(5, 4, child_dim=3, parent_dim=2)
    out = routing(torch.randn(1, 5, 4, 2), torch.rand(1, 5), poses=torch.randn(1, 5, 3))
    torch.testing.assert_close(out.coupling, torch.full((1, 5, 4), 0.25))
