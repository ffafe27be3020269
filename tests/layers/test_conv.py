import pytest
import torch

from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.layers import ConvCapsules, DenseCapsules, PosePrimaryCapsules
from capsnet.routing import ROUTINGS, dynamic_routing


def grid_of(rows, columns, types, dim, batch=2):
    number = rows * columns * types
    return Capsules(torch.randn(batch, number, dim), torch.rand(batch, number))


def test_a_parent_is_routed_from_the_children_of_its_window():
    layer = ConvCapsules(2, 3, grid=(5, 4), kernel_size=3, stride=2, child_dim=4, parent_dim=6, routing="dynamic")
    capsules = grid_of(5, 4, 2, 4)
    out = layer(capsules)
    assert layer.out_grid == (2, 1)
    assert out.poses.shape == (2, 2 * 1 * 3, 6)
    window = capsules.poses.reshape(2, 5, 4, 2, 4)[:, 2:5, 0:3].reshape(2, 18, 4)
    votes = torch.einsum("bic,icjd->bijd", window, layer.weight)
    torch.testing.assert_close(out.poses.reshape(2, 2, 3, 6)[:, 1], dynamic_routing(votes).poses)


@pytest.mark.parametrize("name", ROUTINGS.names())
@pytest.mark.parametrize("shape", [None, (2, 2)])
def test_any_routing_routes_vectors_and_matrices(name, shape):
    layer = ConvCapsules(2, 3, grid=(4, 5), child_dim=4, parent_dim=6, pose_shape=shape, routing=name)
    out = layer(grid_of(4, 5, 2, 4))
    assert out.poses.shape == (2, 2 * 3 * 3, 6)
    assert out.activations.shape == (2, 18)
    assert out.coupling is None
    out.poses.square().sum().backward()
    assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ROUTINGS.names())
def test_one_window_is_a_dense_layer(name):
    sizes = {"child_dim": 4, "parent_dim": 6, "pose_shape": (2, 2), "routing": name}
    conv, dense = ConvCapsules(2, 3, grid=(2, 3), kernel_size=None, **sizes), DenseCapsules(12, 3, **sizes)
    dense.load_state_dict(conv.state_dict())
    capsules = grid_of(2, 3, 2, 4)
    for got, wanted in zip(conv.eval()(capsules)[:3], dense.eval()(capsules)[:3], strict=True):
        torch.testing.assert_close(got, wanted)


def test_a_shared_matrix_is_the_same_at_all_places():
    layer = ConvCapsules(2, 3, grid=(3, 3), kernel_size=2, child_dim=4, shared=True, routing="uniform")
    assert layer.weight.shape == (2, 4, 3, 16)
    matrices = layer.matrices()
    for place in range(4):
        torch.testing.assert_close(matrices[2 * place : 2 * place + 2], layer.weight)


def test_coordinates_are_added_to_two_entries_of_the_votes():
    coordinates = torch.stack(torch.meshgrid(torch.arange(3.0), 10 * torch.arange(4.0), indexing="ij"), dim=2)
    options = {"grid": (3, 4), "kernel_size": 2, "child_dim": 4, "parent_dim": 6, "routing": "em"}
    layer = ConvCapsules(2, 3, coordinates=coordinates, coordinate_entries=(1, 4), **options)
    plain = ConvCapsules(2, 3, **options)
    plain.load_state_dict(layer.state_dict())
    inside = layer.gather(grid_of(3, 4, 2, 4))
    added = (layer.votes(inside) - plain.votes(inside)).reshape(2, 6, 2, 2, 2, 3, 6)  # b p y x type j d
    # window 4 starts at row 1, column 1; its lower right place is row 2, column 2
    expected = torch.tensor([0.0, 2.0, 0.0, 0.0, 20.0, 0.0])
    torch.testing.assert_close(added[1, 4, 1, 1, 1, 2], expected, atol=1e-5, rtol=0)


def test_padding_adds_capsules_that_are_not_there():
    layer = ConvCapsules(2, 3, grid=(3, 3), padding=1, child_dim=4, parent_dim=5, routing="self-routing")
    assert layer.out_grid == (3, 3)
    inside = layer.gather(grid_of(3, 3, 2, 4))
    corner = inside.activations.reshape(2, 9, 3, 3, 2)[:, 0]
    assert corner[:, 0].eq(0).all()
    assert corner[:, :, 0].eq(0).all()
    assert corner[:, 1:, 1:].gt(0).all()


def test_layers_stack():
    first = ConvCapsules(2, 3, grid=(7, 7), kernel_size=3, stride=2, child_dim=4, parent_dim=6, routing="em")
    second = ConvCapsules(3, 5, grid=first.out_grid, kernel_size=None, child_dim=6, parent_dim=8, routing="em")
    out = second(first(grid_of(7, 7, 2, 4)))
    assert out.poses.shape == (2, 5, 8)
    assert out.coupling.shape == (2, 27, 5)


def test_routing_is_float32_under_autocast():
    layer, capsules = ConvCapsules(2, 3, grid=(4, 4), pose_shape=(4, 4)), grid_of(4, 4, 2, 16)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(capsules)
    torch.testing.assert_close(out.poses, layer(capsules).poses, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kernel_size": 6}, r"must fit into the grid \(4, 5\), got \(6, 6\)"),
        ({"pose_shape": (3, 5)}, r"child_dim must be 15 for pose_shape \(3, 5\), got 16"),
        ({"stride": 0}, "stride must be at least 1"),
        ({"coordinates": torch.zeros(5, 4, 2)}, r"coordinates must be \(4, 5\) x 2"),
        ({"coordinates": torch.zeros(4, 5, 2), "coordinate_entries": (0, 16)}, "below parent_dim, 16"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        ConvCapsules(2, 3, grid=(4, 5), **options)


def test_children_of_another_grid_are_refused():
    with pytest.raises(UserError, match=r"children must be b x \(40, 16\), got \(2, 32, 16\)"):
        ConvCapsules(2, 3, grid=(4, 5))(grid_of(4, 4, 2, 16))


@pytest.mark.parametrize("name", ["dynamic", "em"])
def test_grid_of_the_children_is_that_of_the_layer(name):
    options = {"kernel_size": 3, "stride": 2, "padding": 1, "routing": name}
    fixed, free = ConvCapsules(2, 3, grid=(4, 5), **options), ConvCapsules(2, 3, **options)
    free.load_state_dict(fixed.state_dict())
    capsules = grid_of(4, 5, 2, 16)
    out = free(capsules._replace(grid=(4, 5)))
    torch.testing.assert_close(out.poses, fixed(capsules).poses)
    assert out.grid == fixed(capsules).grid == fixed.out_grid == (2, 3)


def test_grids_travel_from_layer_to_layer():
    primary = PosePrimaryCapsules(3, 2)(torch.randn(2, 3, 9, 7))
    assert primary.grid == (9, 7)
    assert ConvCapsules(3, 4, stride=2)(ConvCapsules(2, 3)(primary)).grid == (3, 2)


@pytest.mark.parametrize(
    ("layer", "grid", "words"),
    [
        (lambda: ConvCapsules(2, 3), None, "children have no grid"),
        (lambda: ConvCapsules(2, 3, grid=(4, 4)), (2, 8), r"must have the grid \(4, 4\), got \(2, 8\)"),
        (lambda: ConvCapsules(2, 3), (4, 5), r"children must be b x \(40, 16\), got \(2, 32, 16\)"),
        (lambda: ConvCapsules(2, 3), (2, 8), r"must fit into the grid \(2, 8\), got \(3, 3\)"),
        (lambda: ConvCapsules(2, 3, kernel_size=None), (4, 4), "a window of the whole grid needs grid="),
        (lambda: ConvCapsules(2, 3, coordinates=torch.zeros(4, 4, 2)), (4, 4), "coordinates need a grid"),
    ],
)
def test_grids_that_are_missing_or_contradict_are_refused(layer, grid, words):
    with pytest.raises(UserError, match=words):
        layer()(grid_of(4, 4, 2, 16)._replace(grid=grid))


def test_children_with_a_mask_on_a_grid_are_refused():
    capsules = grid_of(4, 4, 2, 16)
    with pytest.raises(UserError, match="children on a grid cannot have a mask"):
        ConvCapsules(2, 3)(capsules._replace(mask=torch.ones(2, 32, dtype=torch.bool)))


@pytest.mark.usefixtures("unchecked")
def test_a_list_is_a_grid_and_a_window():
    layer = ConvCapsules(2, 3, grid=[4, 5], kernel_size=[2, 3], child_dim=4, parent_dim=4, routing="dynamic")
    assert layer.out_grid == (3, 3)
    capsules = grid_of(4, 5, 2, 4)
    assert torch.equal(layer(capsules._replace(grid=(4, 5))).poses, layer(capsules).poses)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["grid", "kernel_size"])
def test_three_sides_are_refused(name):
    with pytest.raises(UserError, match=rf"{name} must be rows and columns, got \(3, 3, 3\)"):
        ConvCapsules(2, 3, **{"grid": (4, 4), name: (3, 3, 3)})


def test_coordinates_follow_the_layer_to_its_device():
    layer = ConvCapsules(2, 3, grid=(4, 4), coordinates=torch.zeros(4, 4, 2), device="meta")
    assert layer.offsets.device.type == "meta"
    assert layer(Capsules(*(x.to("meta") for x in grid_of(4, 4, 2, 16)[:2]))).poses.shape == (2, 12, 16)


@pytest.mark.parametrize("kernel_size", [3, None])
def test_an_empty_batch_has_no_parents(kernel_size):
    layer = ConvCapsules(2, 3, grid=(4, 4), kernel_size=kernel_size, pose_shape=(4, 4))
    assert layer(grid_of(4, 4, 2, 16, batch=0)).poses.shape[::2] == (0, 16)
