"""Facts of "An Algorithm for Routing Vectors in Sequences", Algorithm 2."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.layers import VectorRouting
from capsnet.routing import heinsen_routing

B, I, J, C, D = 2, 6, 4, 5, 3  # noqa: E741


def make(inputs=I, dim=D, **options):
    layer = VectorRouting(inputs, J, C, dim, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += torch.randn_like(parameter) / 4
    return layer


def sample(number=I):
    return Capsules(torch.randn(B, number, C, dtype=torch.float64), torch.ones(B, number, dtype=torch.float64))


def store_votes(layer, inputs):
    """The same layer with votes that are stored."""
    poses, routing = inputs.poses, layer.routing
    scaled = poses / poses.shape[1] ** 0.5
    votes = torch.einsum("bic,jc,cd->bijd", scaled, layer.vote_scale, layer.vote_weight) + layer.vote_bias
    return heinsen_routing(
        votes,
        routing.credit(scaled),
        *routing.prices(poses),
        lambda parents: routing.similarity(poses, parents),
        routing.iterations,
        normalize=routing.normalize,
    )


@pytest.mark.parametrize("number", [I, None])
@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize(("dim", "normalize"), [(D, True), (D, False), (1, True)])
def test_results_and_gradients_equal_those_of_stored_votes(number, iterations, dim, normalize):
    layer, inputs = make(number, dim, iterations=iterations, normalize=normalize), sample()
    inputs.poses.requires_grad_()
    results = []
    for out in (layer(inputs), store_votes(layer, inputs)):
        weight = torch.arange(out.poses.numel(), dtype=torch.float64).view_as(out.poses)
        gradients = torch.autograd.grad(
            (out.poses * weight).sum(), [inputs.poses, *layer.parameters()], allow_unused=iterations == 1
        )
        results.append([*out[:3], *gradients])
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("filler", [torch.nan, 1e9])
def test_padding_changes_nothing(filler):
    layer, inputs = make(None), sample()
    mask = torch.tensor([[True] * 4 + [False] * 2, [False] * 6])
    poses = inputs.poses.masked_fill(~mask[..., None], filler).requires_grad_()
    out = layer(inputs._replace(poses=poses, mask=mask))
    alone = layer(Capsules(inputs.poses[:1, :4], inputs.activations[:1, :4]))
    torch.testing.assert_close(out.poses[:1], alone.poses)
    torch.testing.assert_close(out.coupling[:1, :4], alone.coupling)
    assert (
        out.coupling[~mask].count_nonzero() == out.poses[1].count_nonzero() == out.activations[1].count_nonzero() == 0
    )
    out.poses.square().sum().backward()
    assert poses.grad[~mask].count_nonzero() == 0
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


@pytest.mark.parametrize("normalize", [True, False])
def test_outputs_limited_per_sample_equal_those_of_a_layer_without_the_others(normalize):
    layer, inputs = make(None, normalize=normalize), sample()
    parent_mask = torch.tensor([[True, False, True, True], [False] * 4])
    out = layer(inputs, parent_mask=parent_mask)
    gradients = torch.autograd.grad(out.poses.square().sum(), layer.parameters())
    parameters = {
        name: tensor.index_select(tensor.shape.index(J), torch.tensor([0, 2, 3])) if J in tensor.shape else tensor
        for name, tensor in layer.named_parameters()
    }
    few = Capsules(inputs.poses[:1], inputs.activations[:1])
    alone = torch.func.functional_call(layer, parameters, (few,))
    torch.testing.assert_close(out.poses[0, [0, 2, 3]], alone.poses[0])
    torch.testing.assert_close(out.coupling[0][:, [0, 2, 3]], alone.coupling[0])
    expected = torch.autograd.grad(alone.poses.square().sum(), layer.parameters())
    for got, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, wanted)
    assert out.mask is parent_mask
    assert out.poses[~parent_mask].count_nonzero() == out.activations[~parent_mask].count_nonzero() == 0


class Largest(TorchDispatchMode):
    """Records the size of the largest tensor that any operation makes, of the backward pass too."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.untyped_storage().nbytes() // tensor.element_size())
        return out


@pytest.mark.parametrize("layer_number", [256, None])
def test_no_tensor_is_larger_than_inputs_times_outputs(layer_number):
    layer = VectorRouting(layer_number, 32, 16, 64)
    inputs = Capsules(torch.randn(2, 256, 16, requires_grad=True), torch.ones(2, 256))
    with Largest() as stored:
        store_votes(layer, inputs).poses.square().sum().backward()
    with Largest() as lean:
        layer(inputs).poses.square().sum().backward()
    assert stored.numel == 2 * 256 * 32 * 64
    assert lean.numel == 2 * 256 * 32


def test_outputs_have_mean_0_and_variance_1():
    poses = VectorRouting(None, J, C, 64)(Capsules(torch.randn(B, I, C), torch.ones(B, I))).poses
    torch.testing.assert_close(poses.mean(dim=-1), torch.zeros(B, J), atol=1e-5, rtol=0)
    torch.testing.assert_close(poses.var(dim=-1, correction=0), torch.ones(B, J), atol=1e-3, rtol=0)


@pytest.mark.parametrize("inputs", [I, None])
def test_parameters_grow_with_inputs_times_outputs_at_most(inputs):
    layer, rows = VectorRouting(inputs, J, C, D), inputs or 1
    price = 2 * (I * J if inputs else C * J + J)
    expected = rows * (C + 1) + J * C + C * D + J * D + D * C + 2 * J * C + 2 * rows * J + price
    assert sum(parameter.numel() for parameter in layer.parameters()) == expected


@pytest.mark.usefixtures("unchecked")
def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match=r"inputs must be b x \(6, 5\), got \(2, 7, 5\)"):
        make()(sample(7))
    with pytest.raises(UserError, match="num_outputs must be at least 1, got 0"):
        VectorRouting(6, 0, 5, 3)


@pytest.mark.usefixtures("unchecked")
def test_a_tensor_in_place_of_capsules_is_refused():
    with pytest.raises(UserError, match="children must be Capsules, got a tensor"):
        make()(sample().poses)
