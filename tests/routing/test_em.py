"""Facts of "Matrix capsules with EM routing" and of its authors' code."""

import math
from itertools import pairwise

import pytest
import torch

from capsnet import create_model
from capsnet.errors import UserError
from capsnet.functional import Windows, window_children
from capsnet.routing import ROUTINGS, EMRouting, em_routing


def literal_routing(votes, activations, beta_use, beta_activate, iterations, form, parents_of):
    """Procedure 1 in loops over numbers: `votes[i][j]` for child i and any parent j, of those in `parents_of[i]`."""
    children, dim = range(len(votes)), len(next(iter(votes[0].values())))
    parents = sorted({j for row in parents_of for j in row})
    r = [{j: 1 / len(parents_of[i]) for j in parents_of[i]} for i in children]
    mean = {j: [0.0] * dim for j in parents}
    keep, floor = (0.0, 1e-4) if form == "paper" else (0.1, 5e-4)
    for t in range(1, iterations + 1):
        if t > 1:
            for i in children:
                p = {}
                for j in parents_of[i]:
                    density = 1.0
                    for h in range(dim):
                        square = (votes[i][j][h] - mean[j][h]) ** 2 / (2 * variance[j][h])
                        density *= math.exp(-square) / math.sqrt(2 * math.pi * variance[j][h])
                    p[j] = active[j] * density
                r[i] = {j: value / sum(p.values()) for j, value in p.items()}
        variance, active = {}, {}
        for j in parents:
            mine = [i for i in children if j in parents_of[i]]
            total = sum(r[i][j] * activations[i] for i in mine) + 1e-7
            for h in range(dim):
                new = sum(r[i][j] * activations[i] * votes[i][j][h] for i in mine) / total
                mean[j][h] = (1 - keep) * new + keep * mean[j][h]
            variance[j] = [
                sum(r[i][j] * activations[i] * (votes[i][j][h] - mean[j][h]) ** 2 for i in mine) / total + floor
                for h in range(dim)
            ]
            temperature = 0.01 * (1 - 0.95**t)
            if form == "paper":
                cost = sum((beta_use + math.log(math.sqrt(v))) * total for v in variance[j])
                logit = temperature * (beta_activate - cost)
            else:
                cost = sum(math.log(v) + beta_use * (1 + math.log(2 * math.pi)) for v in variance[j])
                logit = temperature * (-total * cost - 5000 * beta_activate)
            active[j] = 1 / (1 + math.exp(-logit))
    return mean, active, r


@pytest.mark.parametrize("iterations", [1, 2, 3])
@pytest.mark.parametrize("form", ["paper", "authors"])
def test_routing_equals_procedure_1_in_loops(iterations, form):
    votes, activations = torch.randn(1, 6, 3, 4, dtype=torch.float64), torch.rand(1, 6, dtype=torch.float64)
    use, activate = 0.3, -0.02
    betas = (torch.full((3,), use, dtype=torch.float64), torch.full((3,), activate, dtype=torch.float64))
    out = em_routing(votes, activations, *betas, iterations, form=form)
    rows = [dict(enumerate(child)) for child in votes[0].tolist()]
    everyone = [range(3)] * 6
    mean, active, r = literal_routing(rows, activations[0].tolist(), use, activate, iterations, form, everyone)
    for j in range(3):
        torch.testing.assert_close(out.poses[0, j].tolist(), mean[j])
        torch.testing.assert_close(float(out.activations[0, j]), active[j])
        torch.testing.assert_close(out.coupling[0, :, j].tolist(), [r[i][j] for i in range(6)])


@pytest.mark.parametrize("stride", [1, 2])
def test_parents_of_overlapping_windows_compete_for_a_child(stride):
    # a parent is (place, type); a child at a border has fewer parents than one in the middle
    windows, types = Windows(window_children((5, 3), 2, (3, 3), stride), 30), 2
    places, size = windows.children.shape
    votes = torch.randn(places, size, types, 3, dtype=torch.float64)
    activations = torch.rand(30, dtype=torch.float64)
    zero = torch.zeros(types, dtype=torch.float64)
    out = em_routing(votes, activations[windows.children], zero, zero, windows=windows)
    rows, parents_of = [{} for _ in range(30)], [[] for _ in range(30)]
    for place in range(places):
        for number, child in enumerate(windows.children[place].tolist()):
            for kind in range(types):
                rows[child][place * types + kind] = votes[place, number, kind].tolist()
                parents_of[child].append(place * types + kind)
    mean, active, _ = literal_routing(rows, activations.tolist(), 0.0, 0.0, 3, "paper", parents_of)
    torch.testing.assert_close(out.poses.flatten(0, 1).tolist(), [mean[j] for j in range(places * types)])
    torch.testing.assert_close(out.activations.flatten().tolist(), [active[j] for j in range(places * types)])


def test_competition_per_window_takes_no_notice_of_other_windows():
    windows = Windows(window_children((4, 4), 2, (3, 3), 1), 32)
    votes, activations = torch.randn(4, 18, 2, 3), torch.rand(32)[windows.children]
    routing = EMRouting(18, 2, parent_dim=3, competition="window")
    torch.testing.assert_close(routing(votes, activations, windows=windows).poses, routing(votes, activations).poses)


def test_one_iteration_is_the_mean_and_the_variance_of_the_votes_by_hand():
    votes = torch.tensor([[[[1.0]], [[5.0]]]])  # two children, one parent, one number
    out = em_routing(votes, torch.tensor([[0.75, 0.25]]), torch.tensor([0.2]), torch.tensor([3.0]), 1)
    torch.testing.assert_close(out.poses, torch.tensor([[[2.0]]]))
    # variance 0.75 * 1 + 0.25 * 9 = 3, mass 1, inverse temperature 0.01 * 0.05
    logit = 0.0005 * (3.0 - (0.2 + math.log(math.sqrt(3.0001))))
    torch.testing.assert_close(out.activations, torch.tensor([[logit]]).sigmoid())


def test_a_lone_disagreeing_child_loses_coupling_with_each_iteration():
    votes = torch.zeros(1, 10, 2, 4)
    votes[:, :, 1] = 3 * torch.randn(1, 10, 4)
    votes[:, 0, 0] = 4.0
    activations, zero = torch.ones(1, 10), torch.zeros(2)
    shares = [float(em_routing(votes, activations, zero, zero, n).coupling[0, 0, 0]) for n in (1, 2, 3)]
    assert shares[0] == 0.5
    assert all(later <= sooner for sooner, later in pairwise(shares))
    assert shares[-1] < 0.01


def test_agreement_activates_a_parent_more_than_disagreement():
    votes = torch.randn(1, 20, 2, 8)
    votes[:, :, 0] = votes[:, :1, 0] + 0.01 * votes[:, :, 0]
    zero = torch.zeros(2)
    active = em_routing(votes, torch.ones(1, 20), zero, zero, inverse_temperature=0.1).activations[0]
    assert active[0] > 0.9 > active[1]


def test_a_child_that_is_not_there_has_no_vote():
    votes, activations, zero = torch.randn(1, 5, 3, 4), torch.rand(1, 5), torch.zeros(3)
    activations[0, 1] = 0.0
    rest = [0, 2, 3, 4]
    got, wanted = (
        em_routing(votes, activations, zero, zero),
        em_routing(votes[:, rest], activations[:, rest], zero, zero),
    )
    torch.testing.assert_close(got.poses, wanted.poses)


def test_mass_is_added_to_what_a_parent_receives():
    # one child of activation 1, whose vote is 1 in each entry, and one parent: the mean is R / (R + mass)
    zero = torch.zeros(1)
    for mass in (1e-5, 0.25):
        poses = em_routing(torch.ones(1, 1, 1, 2), torch.ones(1, 1), zero, zero, 1, mass=mass).poses
        torch.testing.assert_close(poses, torch.full((1, 1, 2), 1 / (1 + mass)), rtol=1e-6, atol=0)


def test_class_layer_of_the_authors_adds_a_hundred_times_the_mass():
    model = create_model("em-capsnet-small")
    assert [layer.routing.mass for layer in (*model.conv_capsules, model.class_capsules)] == [1e-7, 1e-7, 1e-5]


@pytest.mark.parametrize("mass", [0.0, -1.0, math.nan, math.inf])
def test_mass_that_is_no_small_number_is_refused(mass):
    with pytest.raises(UserError, match="mass must be above 0 and finite"):
        EMRouting(3, 2, parent_dim=4, mass=mass)


def test_a_parent_with_one_child_and_one_with_none_stay_finite():
    votes, activations = torch.randn(1, 1, 3, 4, requires_grad=True), torch.tensor([[1.0]])
    for value in (activations, torch.zeros(1, 1)):
        out = em_routing(votes, value, torch.zeros(3), torch.zeros(3))
        (gradient,) = torch.autograd.grad(out.poses.sum() + out.activations.sum(), votes)
        assert all(x.isfinite().all() for x in (*out[:3], gradient))


@pytest.mark.parametrize(("options", "words"), [({"form": "ours"}, "'authors'"), ({"competition": "all"}, "'window'")])
@pytest.mark.usefixtures("unchecked")
def test_unknown_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        EMRouting(5, 3, parent_dim=4, **options)


@pytest.mark.parametrize("name", ["em", "variational-bayes"])
def test_recomputing_gives_the_same_gradient_and_stores_the_votes_about_once(name):
    stored, gradients = [], []
    for recompute in (False, True):
        routing = ROUTINGS.get(name)(32, 4, parent_dim=8, recompute=recompute)
        votes, activations = torch.linspace(-1, 1, 8 * 32 * 4 * 8).sin().reshape(8, 32, 4, 8), torch.ones(8, 32)
        votes.requires_grad_()
        kept = {}

        def keep(tensor, kept=kept):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            out = routing(votes, activations)
        (out.poses.square().sum() + out.activations.sum()).backward()
        gradients.append(votes.grad)
        stored.append(sum(kept.values()) / (4 * votes.numel()))
    torch.testing.assert_close(*gradients)
    assert stored[1] < 2 < stored[0]


@pytest.mark.usefixtures("unchecked")
def test_where_betas_start_may_be_a_whole_number():
    routing = ROUTINGS.get("em")(4, 3, parent_dim=2, beta_use=2, beta_activate=1)
    assert routing.beta_use.tolist() == [2.0] * 3


@pytest.mark.parametrize("options", [{"variance": -1.0}, {"variance": math.nan}, {"inverse_temperature": -0.1}])
def test_numbers_out_of_bounds_are_refused(options):
    (name,) = options
    with pytest.raises(UserError, match=f"{name} must be"):
        em_routing(torch.randn(1, 4, 3, 2), torch.rand(1, 4), **options)
    with pytest.raises(UserError, match=f"{name} must be"):
        EMRouting(4, 3, parent_dim=2, **options)


def test_transforms_of_torch_func_differentiate_what_is_recomputed():
    votes, activations = torch.randn(2, 4, 3, 2), torch.rand(2, 4)
    found = [
        torch.func.grad(lambda v, r=recompute: em_routing(v, activations, recompute=r).poses.sum())(votes)
        for recompute in (False, True)
    ]
    assert torch.equal(*found)
