"""The fused routing is the plain one: values and each gradient, against float64, in memory filled with NaN."""

import itertools
import os

import pytest
import torch
from torch import Tensor

from capsnet.functional import dense_votes
from capsnet.kernels.dynamic_routing import dynamic_routing as fused
from capsnet.routing import dynamic_routing as plain

SIZES = [(1, 1, 1, 1, 1), (7, 63, 3, 5, 7), (9, 39, 8, 10, 16), (17, 7, 16, 2, 4), (3, 5, 3, 40, 7)]  # b i c j d
NAMES = ["poses", "activations", "coupling", "gradient of poses", "gradient of weight", "gradient of bias"]

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
# the interpreter takes a second for each
DRAWS = 2 if INTERPRETED else 4
SIZED = list(itertools.product(SIZES, ["full", "last"]))
ITERATIONS = list(itertools.product([1, 2, 5], ["full", "last"]))
# of bias, leaky, gradient: all, or those in which each two of them meet in all ways
OPTIONS = [(True, True, "full"), (True, False, "last"), (False, True, "last"), (False, False, "full")]
if INTERPRETED:
    # the last step's gradient where several blocks are of children, of samples or of parents; `OPTIONS` has usual sizes
    SIZED = [(size, "full") for size in SIZES] + [(SIZES[place], "last") for place in (1, 3, 4)]
    # no earlier step, and more of them than usual
    ITERATIONS = [(1, "full"), (5, "full"), (5, "last")]
else:
    OPTIONS = list(itertools.product([True, False], [True, False], ["full", "last"]))


def make(size: tuple[int, ...], seed: int = 0) -> dict[str, Tensor]:
    b, i, c, j, d = size
    draw = torch.Generator().manual_seed(seed)
    shapes = {"poses": (b, i, c), "weight": (i, c, j, d), "bias": (j, d)}
    shapes |= {"to_poses": (b, j, d), "to_activations": (b, j), "to_coupling": (b, i, j)}
    tensors = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    # the coupling leaves its uniform start, but no single sample saturates and owns the error of all
    tensors["weight"] *= c**-0.5
    return tensors


def run(kind, tensors, dtype, device, *, with_bias=True, coupling_counts=False, **options) -> list[Tensor]:
    t = {name: tensor.to(device, dtype) for name, tensor in tensors.items()}
    poses, weight, bias = (t[name].requires_grad_() for name in ("poses", "weight", "bias"))
    options["bias"] = bias if with_bias else None
    out = kind(poses, weight, **options)
    outputs, towards = [out.poses, out.activations], [t["to_poses"], t["to_activations"]]
    if coupling_counts:
        outputs, towards = [*outputs, out.coupling], [*towards, t["to_coupling"]]
    leaves = [poses, weight, bias] if with_bias else [poses, weight]
    grads = torch.autograd.grad(outputs, leaves, towards)
    return [x.detach().cpu() for x in (out.poses, out.activations, out.coupling, *grads)]


def plain_children(poses, weight, *args, **options):
    return plain(dense_votes(poses, weight), *args, **options)


def assert_as_good(size, dtype, device, draws=DRAWS, **options) -> None:
    """The fused error is at most twice the plain one, each against float64, as root mean square over some draws."""
    squares: dict[str, Tensor] = {}
    for seed in range(draws):
        tensors = {name: tensor.to(dtype) for name, tensor in make(size, seed).items()}
        exact = run(plain_children, tensors, torch.float64, "cpu", **options)
        theirs = run(plain_children, tensors, dtype, device, **options)
        ours = run(fused, tensors, dtype, device, **options)
        for name, truth, a, b in zip(NAMES, exact, theirs, ours, strict=False):
            assert b.dtype == dtype
            errors = [x.double().square().mean() for x in (truth, a - truth, b - truth)]
            squares[name] = squares.get(name, 0) + torch.stack(errors)
    for name, square in squares.items():
        truth, allowed, error = square.sqrt()
        # the floor, one rounding of the result, is for a plain error that is zero by luck, as at size 1
        assert error <= 2 * allowed + torch.finfo(dtype).eps * truth, f"{name}: {error:.2e}, plain {allowed:.2e}"


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize(("size", "gradient"), SIZED, ids=str)
def test_fused_is_plain_at_odd_sizes(size, gradient, device):
    assert_as_good(size, torch.float32, device, gradient=gradient)


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize(("iterations", "gradient"), ITERATIONS)
def test_fused_is_plain_for_any_number_of_iterations(iterations, gradient, device):
    # rounding grows with iterations: two draws say little of it
    assert_as_good((7, 9, 3, 5, 7), torch.float32, device, draws=4, iterations=iterations, gradient=gradient)


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize(("with_bias", "leaky", "gradient"), OPTIONS)
def test_fused_is_plain_with_each_option(with_bias, leaky, gradient, device):
    options = {"with_bias": with_bias, "leaky": leaky, "gradient": gradient}
    assert_as_good((7, 13, 8, 10, 16), torch.float32, device, **options)


@pytest.mark.usefixtures("poison")
# one block of parents and several, with and without the leak; in the interpreter, which is slow, each once
@pytest.mark.parametrize(
    ("parents", "leaky"), [(40, True), (5, False), *([] if INTERPRETED else [(5, True), (40, False)])]
)
def test_fused_is_plain_when_a_loss_reads_the_coupling(parents, leaky, device):
    assert_as_good((7, 13, 3, parents, 7), torch.float32, device, leaky=leaky, coupling_counts=True)


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_fused_is_plain_in_half_precision(dtype, device):
    assert_as_good((7, 13, 8, 5, 16), dtype, device)


@pytest.mark.skipif(not INTERPRETED, reason="of the Triton kernels, in the interpreter")
@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("parents", [5, 40])
def test_products_of_half_precision_add_their_rounding_only(parents, device, monkeypatch):
    from capsnet.kernels.dynamic_routing import triton

    # a GPU rounds to bfloat16, which the interpreter cannot multiply
    monkeypatch.setattr(triton, "product_type", lambda wide: (torch.float16, "ieee"))
    tensors = make((7, 13, 8, parents, 16))
    exact = run(plain_children, tensors, torch.float64, "cpu")
    for name, truth, result in zip(NAMES, exact, run(fused, tensors, torch.float32, device), strict=False):
        error = (result - truth).square().mean().sqrt() / truth.square().mean().sqrt()
        # some roundings of 2**-11 each, which hardly add up
        assert 1e-6 < error < 4 * 2**-11, name


@pytest.mark.usefixtures("poison")
def test_fused_is_plain_in_double_precision(device):
    tensors = make((7, 13, 8, 5, 16))
    # nothing here is more exact than float64: torch's own tolerance for it
    torch.testing.assert_close(*(run(kind, tensors, torch.float64, device) for kind in (fused, plain_children)))


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e4])
def test_fused_is_finite_for_extreme_poses(scale, device):
    tensors = make((7, 13, 3, 5, 7))
    tensors["poses"] *= scale
    results = run(fused, tensors, torch.float32, device, with_bias=False)
    assert all(result.isfinite().all() for result in results)


def test_fused_takes_tensors_that_are_not_contiguous(device):
    tensors = {k: v.to(device) for k, v in make((7, 13, 3, 5, 7)).items()}
    poses = tensors["poses"].transpose(0, 1).contiguous().transpose(0, 1)
    weight = tensors["weight"].permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
    torch.testing.assert_close(fused(poses, weight), fused(tensors["poses"], tensors["weight"]))


def test_gradients_are_left_out_where_nothing_asks_for_them(device):
    tensors = {k: v.to(device) for k, v in make((7, 13, 3, 5, 7)).items()}
    assert not fused(tensors["poses"], tensors["weight"]).poses.requires_grad
    weight = tensors["weight"].requires_grad_()
    (grad,) = torch.autograd.grad(fused(tensors["poses"], weight).poses.sum(), weight)
    assert grad.shape == weight.shape
