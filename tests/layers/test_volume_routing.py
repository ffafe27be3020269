"""3D routing against a loop in words, and what its convolution sees."""

import pytest
import torch

from capsnet.errors import UserError
from capsnet.functional import squash, to_capsules, to_maps
from capsnet.layers import VolumeCapsules
from capsnet.layers.volume_routing import volume_routing


def route_slowly(votes, iterations, bias):
    """One sample, one child type, one parent type and one place at a time."""
    samples, children, parents, dim, rows, columns = votes.shape
    places = [(j, y, x) for j in range(parents) for y in range(rows) for x in range(columns)]
    out = torch.zeros(samples, parents, dim, rows, columns, dtype=votes.dtype)
    for b in range(samples):
        logits = torch.zeros(children, parents, rows, columns, dtype=votes.dtype)
        for _ in range(iterations):
            total = bias[:, :, None, None].expand(parents, dim, rows, columns).clone()
            for i in range(children):
                whole = sum(logits[i][place].exp() for place in places)
                for j, y, x in places:
                    total[j, :, y, x] += logits[i, j, y, x].exp() / whole * votes[b, i, j, :, y, x]
            for j in range(parents):
                norm = sum(value**2 for value in total[j].flatten()) ** 0.5
                out[b, j] = norm / (1 + norm**2) * total[j]
            for i in range(children):
                for j, y, x in places:
                    logits[i, j, y, x] += votes[b, i, j, :, y, x] @ out[b, j, :, y, x]
    return out


@pytest.mark.parametrize("iterations", [1, 3])
def test_routing_is_the_loop_in_words(iterations):
    votes, bias = torch.randn(2, 3, 2, 4, 2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    torch.testing.assert_close(volume_routing(votes, iterations, bias=bias), route_slowly(votes, iterations, bias))


def test_all_places_and_types_share_a_child():
    # in one iteration every vote counts one part in j h w, of all children
    votes = torch.randn(1, 3, 2, 4, 2, 3)
    expected = squash((votes.sum(dim=1) / 12).flatten(2)).reshape(1, 2, 4, 2, 3)
    torch.testing.assert_close(volume_routing(votes, 1), expected)


def test_a_map_is_as_long_as_a_capsule():
    assert 0.9 < volume_routing(1e3 * torch.randn(2, 3, 2, 4, 2, 3), 1).flatten(2).norm(dim=2).min() < 1


def test_gradients_are_those_of_the_formula():
    votes = torch.randn(1, 2, 2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, b: volume_routing(v, bias=b), (votes, bias))


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e4])
def test_values_and_gradients_are_finite(scale):
    votes = (scale * torch.randn(2, 3, 2, 4, 2, 3)).requires_grad_()
    out = volume_routing(votes)
    out.sum().backward()
    assert out.isfinite().all()
    assert votes.grad.isfinite().all()


def test_convolution_is_a_3d_one_as_deep_as_a_capsule():
    layer = VolumeCapsules(3, 2, child_dim=4, parent_dim=5)
    maps = torch.randn(2, 12, 6, 7)
    kernel = layer.weight.flatten(0, 1)[:, None]  # (j d) 1 c k k
    whole = torch.nn.functional.conv3d(maps[:, None], kernel, stride=(4, 1, 1), padding=(0, 1, 1))  # b (j d) i h w
    expected = whole.transpose(1, 2).unflatten(2, (2, 5))
    children = to_capsules(maps, 4)
    torch.testing.assert_close(layer.votes(children), expected)
    assert to_maps(layer(children)).shape == (2, 10, 6, 7)


def test_children_of_another_number_are_refused():
    with pytest.raises(UserError, match="children must have 12 numbers at each place, got 8"):
        VolumeCapsules(3, 2, child_dim=4)(to_capsules(torch.randn(2, 8, 6, 7), 4))


def test_no_iterations_and_an_even_window_are_refused():
    with pytest.raises(UserError, match="iterations must be at least 1, got 0"):
        VolumeCapsules(2, 2, iterations=0)
    with pytest.raises(UserError, match="kernel_size must be odd, got 2"):
        VolumeCapsules(2, 2, kernel_size=2)
