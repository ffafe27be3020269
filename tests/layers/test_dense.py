import copy

import pytest
import torch

from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.functional import dense_votes, squash
from capsnet.layers import ConvCapsules, DenseCapsules, VolumeCapsules
from capsnet.routing import DynamicRouting, dynamic_routing


def children(number=6, dim=4):
    poses = torch.randn(2, number, dim)
    return Capsules(poses, poses.norm(dim=-1))


def test_layer_is_votes_then_routing():
    layer, capsules = DenseCapsules(6, 3, child_dim=4, parent_dim=5, routing_options={"iterations": 2}), children()
    expected = dynamic_routing(dense_votes(capsules.poses, layer.weight), 2)
    torch.testing.assert_close(layer(capsules).poses, expected.poses)


def test_layers_stack():
    first, second = DenseCapsules(6, 4, child_dim=4, parent_dim=5), DenseCapsules(4, 3, child_dim=5, parent_dim=7)
    assert second(first(children())).poses.shape == (2, 3, 7)


def test_routing_may_be_an_object():
    routing = DynamicRouting(6, 3, parent_dim=5, bias=True)
    layer = DenseCapsules(6, 3, child_dim=4, parent_dim=5, routing=routing)
    assert layer.routing is routing
    assert dict(layer.named_parameters())["routing.bias"].shape == (3, 5)


def test_every_parameter_gets_a_gradient():
    layer = DenseCapsules(6, 3, child_dim=4, parent_dim=5, routing_options={"bias": True})
    layer(children()).activations.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in layer.parameters())


def test_routing_is_float32_under_autocast():
    layer, capsules = DenseCapsules(6, 3, child_dim=4, parent_dim=5), children()
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(capsules)
    torch.testing.assert_close(out.poses, layer(capsules).poses, rtol=0, atol=0)


def test_unknown_routing_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="unknown routing 'dinamic'; did you mean 'dynamic'"):
        DenseCapsules(6, 3, routing="dinamic")


def test_children_of_another_size_are_refused():
    with pytest.raises(UserError, match=r"children must be b x \(6, 4\), got \(2, 5, 4\)"):
        DenseCapsules(6, 3, child_dim=4)(children(number=5))


def test_no_parents_are_refused():
    with pytest.raises(UserError, match="num_parents must be at least 1, got 0"):
        DenseCapsules(6, 0)


@pytest.mark.parametrize(("name", "gain"), [("max-min", 1 / 4), ("self-attention", 1 / 2), ("uniform", 1.0)])
def test_transformations_start_with_the_gain_of_the_routing(name, gain):
    layer = DenseCapsules(500, 4, child_dim=8, parent_dim=16, routing=name)
    assert abs(float(layer.weight.detach().std()) / (gain * 4 / (500 * 16) ** 0.5) - 1) < 0.02


@pytest.mark.parametrize(("number", "parents"), [(1152, 10), (64, 3), (500, 50)])
def test_first_sum_is_as_long_as_a_child_at_any_size(number, parents):
    layer = DenseCapsules(number, parents, child_dim=8, parent_dim=16)
    poses = torch.nn.functional.normalize(torch.randn(8, number, 8), dim=-1)
    sums = dense_votes(poses, layer.weight).sum(dim=1) / parents
    assert abs(float(sums.detach().norm(dim=-1).mean()) - 1) < 0.2


def test_matrix_poses_are_multiplied_as_matrices():
    layer = DenseCapsules(6, 3, child_dim=4, parent_dim=6, pose_shape=(2, 2), routing="uniform")
    assert layer.weight.shape == (6, 2, 3, 3)
    capsules = children()
    products = torch.einsum("birc,icjd->bijrd", capsules.poses.reshape(2, 6, 2, 2), layer.weight)
    torch.testing.assert_close(layer(capsules).poses, squash(products.flatten(3).sum(dim=1) / 3))


def test_a_shared_matrix_is_the_same_for_all_children():
    layer = DenseCapsules(6, 3, child_dim=4, parent_dim=5, shared=True)
    assert layer.weight.shape == (1, 4, 3, 5)
    capsules, order = children(), torch.tensor([4, 2, 0, 5, 1, 3])
    moved = Capsules(*(x[:, order] for x in capsules[:2]))
    torch.testing.assert_close(layer(moved).poses, layer(capsules).poses)


def test_poses_that_are_no_whole_rows_are_refused():
    with pytest.raises(UserError, match="parent_dim must be a multiple of the 4 rows of pose_shape, got 6"):
        DenseCapsules(6, 3, child_dim=4, parent_dim=6, pose_shape=(4, 1))


@pytest.mark.parametrize("samples", [2, 16])
def test_fused_routing_is_not_asked_about_matrices(samples):
    layer = DenseCapsules(6, 3, child_dim=4, parent_dim=6, pose_shape=(2, 2))
    poses = torch.randn(samples, 6, 4)
    out = layer(Capsules(poses, poses.norm(dim=2)))
    torch.testing.assert_close(out.poses, dynamic_routing(dense_votes(poses, layer.weight)).poses)


def test_shared_layer_takes_any_number_of_children():
    layer = DenseCapsules(None, 3, child_dim=4, parent_dim=5, shared=True)
    five, seven = children(5), children(7)
    padded = Capsules(*(torch.cat([x, x.new_full((2, 2, *x.shape[2:]), torch.nan)], dim=1) for x in five[:2]))
    mask = torch.tensor([True] * 5 + [False] * 2).expand(2, -1)
    torch.testing.assert_close(layer(padded._replace(mask=mask)).poses, layer(five).poses)
    assert layer(seven).poses.shape == (2, 3, 5)


def test_each_type_of_child_has_its_shared_matrix():
    layer = DenseCapsules(None, 3, child_dim=4, parent_dim=5, shared=True, num_child_types=2, routing="uniform")
    assert layer.weight.shape == (2, 4, 3, 5)
    capsules = children(6)
    expected = dense_votes(capsules.poses, torch.cat([layer.weight] * 3))
    torch.testing.assert_close(layer.votes(layer.gather(capsules)), expected)
    with pytest.raises(UserError, match="children must be a multiple of the 2 types, got 5"):
        layer(children(5))


def test_types_of_children_need_shared_matrices():
    with pytest.raises(UserError, match="num_child_types is for shared=True only, got 2"):
        DenseCapsules(6, 3, num_child_types=2)


@pytest.mark.parametrize("routing", ["self-routing", "self-attention"])
def test_routing_that_learns_of_each_child_refuses_any_number(routing):
    with pytest.raises(UserError, match="num_children must be a number"):
        DenseCapsules(None, 3, shared=True, routing=routing)


def test_any_number_of_children_needs_a_shared_matrix():
    with pytest.raises(UserError, match=r"num_children must be a number, got None; .* shared=True"):
        DenseCapsules(None, 3)


def test_mask_of_another_shape_is_refused():
    capsules = children()._replace(mask=torch.ones(2, 5, dtype=torch.bool))
    with pytest.raises(UserError, match=r"mask must be \(2, 6\), as the activations, got \(2, 5\)"):
        DenseCapsules(6, 3, child_dim=4)(capsules)


def test_routing_that_does_not_support_masks_refuses_them(monkeypatch):
    monkeypatch.setattr(DynamicRouting, "masks", False)
    capsules = children()._replace(mask=torch.ones(2, 6, dtype=torch.bool))
    with pytest.raises(UserError, match="children of DynamicRouting cannot have a mask"):
        DenseCapsules(6, 3, child_dim=4)(capsules)


@pytest.mark.parametrize("samples", [2, 16])
def test_missing_parents_are_padding_to_the_next_layer(samples):
    first, second = DenseCapsules(6, 4, child_dim=4, parent_dim=5), DenseCapsules(4, 3, child_dim=5, parent_dim=7)
    poses = torch.randn(samples, 6, 4)
    parents = first(Capsules(poses, poses.norm(dim=2)), parent_mask=torch.arange(4).expand(samples, -1) < 3)
    with torch.no_grad():
        # what the matrices of the missing parent, and of the next layer for it, hold is of no importance
        first.weight[:, :, 3] = second.weight[3] = 1e3
    fewer = DenseCapsules(6, 3, child_dim=4, parent_dim=5)
    fewer.weight.data = first.weight[:, :, :3]
    last = DenseCapsules(3, 3, child_dim=5, parent_dim=7)
    last.weight.data = second.weight[:3]
    expected = last(fewer(Capsules(poses, poses.norm(dim=2))))
    torch.testing.assert_close(second(parents).poses, expected.poses)


def test_sample_of_padding_alone_has_no_parents():
    capsules = children()._replace(mask=torch.tensor([[True] * 6, [False] * 6]))
    layer = DenseCapsules(6, 3, child_dim=4, routing_options={"bias": True})
    parents = layer(capsules, parent_mask=torch.tensor([[True, False, True]] * 2))
    assert parents.mask.tolist() == [[True, False, True], [False] * 3]
    assert parents.poses[1].count_nonzero() == 0


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("mask", "got"),
    [(torch.ones(1, 3) > 0, r"\(1, 3\) of torch.bool"), (torch.ones(2, 3), r"\(2, 3\) of torch.float32")],
)
def test_parent_mask_of_another_shape_or_type_is_refused(mask, got):
    with pytest.raises(UserError, match=rf"parent_mask must be \(2, 3\) of torch.bool \(samples, parents\), got {got}"):
        DenseCapsules(6, 3, child_dim=4)(children(), parent_mask=mask)


def test_routing_that_does_not_limit_parents_refuses_a_mask(monkeypatch):
    monkeypatch.setattr(DynamicRouting, "limits_parents", False)
    with pytest.raises(UserError, match="DynamicRouting cannot limit a sample's parents; give no parent_mask"):
        DenseCapsules(6, 3, child_dim=4)(children(), parent_mask=torch.ones(2, 3, dtype=torch.bool))


@pytest.mark.usefixtures("unchecked")
def test_a_tensor_in_place_of_capsules_is_refused():
    layers = DenseCapsules(6, 2, child_dim=8), ConvCapsules(3, 2, child_dim=8, kernel_size=1), VolumeCapsules(3, 2)
    for layer in layers:
        with pytest.raises(UserError, match=r"children must be Capsules, got a tensor \(2, 6, 8\)"):
            layer(torch.rand(2, 6, 8))


@pytest.mark.parametrize("routing", ["variational-bayes", "em"])
def test_a_sample_that_is_all_padding_does_not_enter_the_statistics_of_the_batch(routing):
    options = {"batch_norm": True} if routing == "em" else {}
    layer = DenseCapsules(
        None, 3, child_dim=8, parent_dim=4, shared=True, routing=routing, routing_options=options
    ).train()
    alone = copy.deepcopy(layer)
    poses, activations = torch.randn(4, 5, 8), torch.rand(4, 5)
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[3] = False
    output = layer(Capsules(poses, activations, None, mask))
    expected = alone(Capsules(poses[:3], activations[:3], None, mask[:3]))
    torch.testing.assert_close(output.poses[:3], expected.poses)
    torch.testing.assert_close(output.activations[:3], expected.activations)
    assert not output.poses[3].any()
    for one, other in zip(layer.buffers(), alone.buffers(), strict=True):
        torch.testing.assert_close(one, other)
