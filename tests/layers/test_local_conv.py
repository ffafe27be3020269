import pytest
import torch

from capsnet import UserError
from capsnet.functional import squash
from capsnet.layers import LocalConvCapsules, LocalTransposedConvCapsules
from capsnet.routing import dynamic_routing

CONV = {"child_dim": 3, "parent_dim": 2, "kernel_size": 3, "stride": 2, "padding": 1, "dtype": torch.float64}
UP = {**CONV, "kernel_size": 4}


def poses(*space, types=2):
    return torch.randn(2, types, 3, *space, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def loop_votes(layer, children):
    """Votes of a convolution, place by place: b i j d h w."""
    samples, types, _, height, width = children.shape
    rows, columns = layer.out_size(height), layer.out_size(width)
    votes = torch.zeros(samples, types, 3, 2, rows, columns, dtype=children.dtype)
    weight = layer.weight.view(3, 2, 3, 3, 3)  # j d c k k
    for y in range(rows):
        for x in range(columns):
            for down in range(3):
                for right in range(3):
                    row, column = 2 * y + down - 1, 2 * x + right - 1
                    if 0 <= row < height and 0 <= column < width:
                        matrix = weight[:, :, :, down, right]
                        votes[..., y, x] += torch.einsum("jdc,bic->bijd", matrix, children[..., row, column])
    return votes


def test_a_layer_equals_loops_over_windows():
    layer, children = LocalConvCapsules(2, 3, **CONV), poses(5, 4)
    votes = loop_votes(layer, children)
    output = layer(children)
    for y in range(votes.shape[4]):
        for x in range(votes.shape[5]):
            expected = dynamic_routing(votes[..., y, x], 3)
            torch.testing.assert_close(output.poses[..., y, x], expected.poses)
            torch.testing.assert_close(output.activations[..., y, x], expected.activations)


def test_a_transposed_layer_equals_loops_over_children():
    layer, children = LocalTransposedConvCapsules(2, 3, routing_options={"iterations": 1}, **UP), poses(3, 4)
    votes = torch.zeros(2, 2, 3, 2, 6, 8, dtype=torch.float64)
    weight = layer.weight.view(3, 3, 2, 4, 4)  # c j d k k
    for row in range(3):
        for column in range(4):
            for down in range(4):
                for right in range(4):
                    y, x = 2 * row + down - 1, 2 * column + right - 1
                    if 0 <= y < 6 and 0 <= x < 8:
                        matrix = weight[..., down, right]
                        votes[..., y, x] += torch.einsum("cjd,bic->bijd", matrix, children[..., row, column])
    torch.testing.assert_close(layer(children).poses, squash(votes.sum(dim=1) / 3, dim=2))


@pytest.mark.parametrize("space", [(8, 6), (8, 6, 4)])
def test_the_transposed_layer_inverts_the_shape(space):
    down = LocalConvCapsules(2, 3, **{**CONV, "kernel_size": 5, "padding": 2}, dims=len(space))
    up = LocalTransposedConvCapsules(3, 2, **{**UP, "child_dim": 2, "parent_dim": 3}, dims=len(space))
    children = poses(*space)
    parents = down(children)
    assert parents.poses.shape == (2, 3, 2, *(side // 2 for side in space))
    assert parents.activations.shape == (2, 3, *(side // 2 for side in space))
    assert up(parents.poses).poses.shape == children.shape


@pytest.mark.parametrize("build", [LocalConvCapsules, LocalTransposedConvCapsules])
@pytest.mark.parametrize("space", [(7, 5), (6, 3, 2)])
@pytest.mark.parametrize("shared", [True, False])
def test_row_by_row_equals_all_at_once(build, space, shared):
    options = CONV if build is LocalConvCapsules else UP
    layer, children = build(2, 3, **options, dims=len(space), shared=shared), poses(*space).requires_grad_()
    results = []
    for layer.max_votes in (1, None):
        output = layer(children)
        wanted = [output.poses.square().sum() + output.activations.sum()]
        results.append([*output, *torch.autograd.grad(wanted, [children, layer.weight])])
    for rows, whole in zip(*results, strict=True):
        torch.testing.assert_close(rows, whole)


def test_no_more_than_a_row_of_votes_is_made_at_once(monkeypatch):
    layer, sizes = LocalConvCapsules(2, 3, **CONV, max_votes=1), []
    route = layer.routing.route_maps
    monkeypatch.setattr(layer.routing, "route_maps", lambda votes: sizes.append(votes.shape) or route(votes))
    layer(poses(8, 6))
    assert sizes == [(2, 2, 3, 2, 3)] * 4


@pytest.mark.parametrize("build", [LocalConvCapsules, LocalTransposedConvCapsules])
def test_gradients_are_correct(build):
    layer = build(2, 2, **{**(CONV if build is LocalConvCapsules else UP), "max_votes": 30})
    weight = layer.weight.detach().clone().requires_grad_()

    def run(children, weight):
        return torch.func.functional_call(layer, {"weight": weight}, (children,)).poses

    layer.max_votes = None
    assert torch.autograd.gradcheck(run, (poses(3, 2).requires_grad_(), weight))


def test_a_child_type_of_its_own_matrix_needs_as_many_weights():
    one, each = (LocalConvCapsules(2, 3, **CONV, shared=shared).weight.numel() for shared in (True, False))
    assert (one, each) == (162, 324)


@pytest.mark.parametrize("routing", ["em", "max-min", "uniform", "inverted-dot-product"])
def test_other_routings_serve(routing):
    layer = LocalConvCapsules(2, 3, **{**CONV, "parent_dim": 4}, routing=routing)
    output = layer(poses(4, 4))
    assert output.poses.shape == (2, 3, 4, 2, 2)
    assert output.poses.isfinite().all()


def test_poses_of_another_shape_are_refused():
    with pytest.raises(UserError, match=r"poses must be b, 2, 3, rows, columns; got \(2, 4, 3, 5, 5\)"):
        LocalConvCapsules(2, 3, **CONV)(poses(5, 5, types=4))


def test_four_dimensions_are_refused():
    with pytest.raises(UserError, match="dims must be 2 or 3, got 4"):
        LocalConvCapsules(2, 3, dims=4)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        (LocalConvCapsules, {"kernel_size": 1, "stride": 1, "padding": 2}),
        (LocalConvCapsules, {"kernel_size": 2, "stride": 2, "padding": 3}),
        (LocalTransposedConvCapsules, {"kernel_size": 2, "stride": 3, "padding": 0}),
        (LocalTransposedConvCapsules, {"kernel_size": 1, "stride": 4, "padding": 0}),
    ],
)
def test_rows_without_children_are_the_same_row_by_row(kind, sizes):
    whole = kind(2, 3, **{**CONV, **sizes}, max_votes=None)
    by_row = kind(2, 3, **{**CONV, **sizes}, max_votes=1)
    by_row.load_state_dict(whole.state_dict())
    torch.testing.assert_close(by_row(poses(4, 3)).poses, whole(poses(4, 3)).poses)


def test_transforms_of_torch_func_differentiate_rows_that_are_recomputed():
    layer, children = LocalConvCapsules(2, 3, **CONV, max_votes=1), poses(4, 4).requires_grad_()
    (expected,) = torch.autograd.grad(layer(children).poses.sum(), children)
    found = torch.func.grad(lambda x: layer(x).poses.sum())(children.detach())
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("routing", ["self-routing", "heinsen"])
def test_a_routing_that_reads_poses_is_refused(routing):
    with pytest.raises(UserError, match="reads the children's poses"):
        LocalConvCapsules(2, 3, child_dim=4, parent_dim=4, kernel_size=3, routing=routing)
