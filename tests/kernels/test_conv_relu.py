import os
import subprocess
import sys
from collections import Counter

import pytest
import torch
from tests.c_compiler import needs_compiler
from torch.autograd import forward_ad
from torch.nn import functional as F

from capsnet import kernels
from capsnet.kernels import conv_relu as module
from capsnet.kernels import native
from capsnet.kernels.conv_relu import conv_relu
from capsnet.layers import ConvReLU


def draw(b, c, h, w, o, k, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = ((b, c, h, w), (o, c, k, k), (o,))
    return [torch.randn(shape, dtype=dtype, generator=generator).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("piece_images", [1, 3, 100])
def test_value_and_gradients_are_those_of_convolution_and_relu(monkeypatch, piece_images):
    x, weight, bias = draw(7, 2, 6, 9, 5, 3)
    expected = F.conv2d(x, weight, bias).relu()
    monkeypatch.setattr(module, "PIECE_BYTES", piece_images * expected[0].nbytes)
    found = conv_relu(x, weight, bias)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    gradient = torch.randn(expected.shape, dtype=expected.dtype)
    for name, one, other in zip(
        ("x", "weight", "bias"),
        torch.autograd.grad(found, (x, weight, bias), gradient),
        torch.autograd.grad(expected, (x, weight, bias), gradient),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")


def test_first_and_second_derivatives_are_exact():
    arguments = draw(2, 1, 4, 5, 2, 3)
    assert torch.autograd.gradcheck(conv_relu, arguments)
    assert torch.autograd.gradgradcheck(conv_relu, arguments)


def test_gradients_that_are_not_needed_are_left_out():
    x, weight, bias = draw(2, 1, 4, 4, 2, 3)
    conv_relu(x.detach(), weight, bias.detach()).sum().backward()
    assert x.grad is None
    assert bias.grad is None
    assert weight.grad.isfinite().all()


@pytest.mark.parametrize("images", [1, 7, 63])
@pytest.mark.parametrize("window", [3, 9])
def test_parameter_gradients_from_windows_are_exact(images, window):
    x, weight, bias = draw(images, 2, 11, 13, 5, window)
    x = x.detach()
    expected = F.conv2d(x, weight, bias).relu()
    gradient = torch.randn(expected.shape, dtype=expected.dtype)
    for one, other in zip(
        torch.autograd.grad(conv_relu(x, weight, bias), (weight, bias), gradient),
        torch.autograd.grad(expected, (weight, bias), gradient),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_parameter_gradients_have_the_same_bits_for_any_number_of_threads():
    x, weight, bias = draw(63, 1, 12, 12, 8, 5, torch.float32)
    before, bits = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            bits.append(torch.autograd.grad(conv_relu(x.detach(), weight, bias).sum(), (weight, bias)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for pair in bits[1:] for one, other in zip(bits[0], pair, strict=True))


def test_parameter_gradients_in_bfloat16_err_no_more_than_twice_as_torchs():
    x, weight, bias = draw(63, 1, 20, 20, 16, 9)
    x = x.detach()
    gradient = torch.randn(63, 16, 12, 12, dtype=torch.float64)
    exact = torch.autograd.grad(F.conv2d(x, weight, bias).relu(), (weight, bias), gradient)
    halves = [tensor.detach().bfloat16().requires_grad_(tensor.requires_grad) for tensor in (x, weight, bias)]
    errors = []
    for output in (conv_relu(*halves), F.conv2d(*halves).relu()):
        found = torch.autograd.grad(output, halves[1:], gradient.bfloat16())
        errors.append([float((one - other).norm() / other.norm()) for one, other in zip(found, exact, strict=True)])
    assert all(ours <= 2 * plain for ours, plain in zip(*errors, strict=True))


def test_autocast_halves_as_it_halves_the_two():
    layer, x = ConvReLU(1, 4, 3), torch.rand(3, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = layer(x), F.conv2d(x, layer.weight, layer.bias).relu()
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected)
    found.float().sum().backward()
    assert layer.weight.grad.dtype == torch.float32


def test_plain_mode_keeps_the_standard_operators():
    layer, x = ConvReLU(1, 4, 3), torch.rand(3, 1, 8, 8)
    with kernels.use("plain"):
        assert "Relu" in type(layer(x).grad_fn).__name__
    assert "Relu" not in type(layer(x).grad_fn).__name__


@pytest.mark.skipif(sys.platform != "linux", reason="a process can forget its peak of memory on Linux only")
def test_backward_holds_no_second_gradient_of_the_feature_maps():
    x, weight, bias = (tensor.detach().float() for tensor in draw(128, 1, 36, 36, 128, 5))
    megabytes = 128 * 128 * 32 * 32 * 4 / 2**20
    program = f"""
import torch
from torch.nn import functional as F
from capsnet.bench.memory import peak_of
from capsnet.kernels.conv_relu import conv_relu
x, weight, bias = torch.rand{tuple(x.shape)}, torch.rand{tuple(weight.shape)}, torch.rand{tuple(bias.shape)}
weight.requires_grad_()
for find in (conv_relu, lambda *arguments: F.conv2d(*arguments).relu()):
    # libraries take memory of their own when they are first used
    find(x, weight, bias).sum().backward()
    output = find(x, weight, bias)
    gradient = torch.rand(output.shape)
    print(peak_of(lambda: output.backward(gradient), torch.device("cpu")))
"""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    ours, plain = map(float, found.stdout.split())
    assert plain > 0.9 * megabytes
    assert ours < 0.6 * plain


@pytest.fixture
def in_c(monkeypatch):
    """Use C, and count the calls of its functions."""
    monkeypatch.setattr(module, "FEWEST_IMAGES", 1)
    with kernels.use("auto"):
        reason = native.refuses(module.SOURCE)
    if reason is not None and "AVX2" in reason:
        pytest.skip(reason)
    library, calls = native.load(module.SOURCE), Counter()

    class Counting:
        def __getattr__(self, name):
            calls[name] += 1
            return getattr(library, name)

    monkeypatch.setattr(module.native, "load", lambda source: Counting())
    with kernels.use("auto"):
        yield calls


def parameter_gradients(find, gradient, *inputs):
    output = find(*inputs)
    return output.detach(), *torch.autograd.grad(output, inputs[1:], gradient.to(output.dtype))


def plain(x, weight, bias):
    return F.conv2d(x, weight, bias).relu()


# b c h w o k
SHAPES = [(1, 1, 9, 9, 32, 9), (3, 3, 13, 11, 64, 5), (17, 1, 17, 14, 96, 9), (2, 4, 12, 19, 32, 8)]


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_c_errs_no_more_than_twice_as_torch(in_c, shape, dtype, layout):
    x, weight, bias = draw(*shape)
    x = x.detach()
    gradient = torch.randn(plain(x, weight, bias).shape, dtype=torch.float64).contiguous(memory_format=layout)
    exact = parameter_gradients(plain, gradient, x, weight, bias)
    inputs = [tensor.detach().to(dtype).requires_grad_(tensor.requires_grad) for tensor in (x, weight, bias)]
    ours, torchs = (parameter_gradients(find, gradient, *inputs) for find in (conv_relu, plain))
    assert in_c["conv_relu"] > 0 < in_c["conv_relu_gradients"]
    for name, one, other, true in zip(("value", "weight", "bias"), ours, torchs, exact, strict=True):
        assert one.dtype == dtype
        assert one.shape == true.shape
        assert (one - true).norm() <= 2 * (other - true).norm(), name


@needs_compiler
def test_few_images_keep_the_order_that_pytorchs_convolution_needs():
    for images, channels_last in ((5, False), (6, True)):
        x, weight, bias = draw(images, 1, 12, 12, 32, 5, torch.float32)
        order = conv_relu(x, weight, bias).is_contiguous(memory_format=torch.channels_last)
        assert order == (channels_last and native.refuses(module.SOURCE) is None)


@needs_compiler
def test_c_returns_feature_maps_in_channels_last_order(in_c):
    found = conv_relu(*draw(2, 1, 8, 8, 32, 3, torch.float32))
    assert found.is_contiguous(memory_format=torch.channels_last)


@needs_compiler
@pytest.mark.parametrize("view", [lambda x: x.mT, lambda x: x[::2, :, 1:, ::2], lambda x: x[:1].expand(5, -1, -1, -1)])
def test_c_reads_images_of_any_strides(in_c, view):
    x, weight, bias = draw(4, 3, 14, 18, 32, 5, torch.float32)
    x = view(x.detach())
    gradient = torch.randn(plain(x, weight, bias).shape)
    found = parameter_gradients(conv_relu, gradient, x, weight, bias)
    expected = parameter_gradients(conv_relu, gradient, x.contiguous(), weight, bias)
    assert in_c["conv_relu_gradients"] > 0
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("poisoned", ["x", "weight", "bias", "gradient"])
def test_c_passes_on_what_is_not_finite(in_c, poisoned, value, dtype):
    x, weight, bias = (tensor.detach() for tensor in draw(2, 1, 7, 8, 32, 3, dtype))
    gradient = torch.randn(2, 32, 5, 6, dtype=dtype)
    {"x": x, "weight": weight, "bias": bias, "gradient": gradient}[poisoned].view(-1)[5] = value
    inputs = x, weight.requires_grad_(), bias.requires_grad_()
    found = parameter_gradients(conv_relu, gradient, *inputs)
    # in bfloat16, PyTorch's own convolution has NaN also where the window does not reach
    expected = parameter_gradients(plain, gradient, *(tensor.detach().float().requires_grad_() for tensor in inputs))
    assert in_c["conv_relu_gradients"] > 0
    for one, other in zip(found, expected, strict=True):
        one, other = (torch.where(tensor.isfinite(), 0, tensor) for tensor in (one.float(), other))
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


@needs_compiler
@pytest.mark.parametrize("images", [1, 5, 63])
def test_c_returns_the_same_bits_for_any_number_of_threads(in_c, images):
    x, weight, bias = draw(images, 1, 12, 12, 32, 5, torch.float32)
    gradient, before, bits = torch.randn(images, 32, 8, 8), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            bits.append(parameter_gradients(conv_relu, gradient, x.detach(), weight, bias))
    finally:
        torch.set_num_threads(before)
    assert in_c["conv_relu_gradients"] >= 3
    assert all(torch.equal(one, other) for found in bits[1:] for one, other in zip(bits[0], found, strict=True))


@needs_compiler
def test_c_has_a_second_derivative_and_one_of_the_image(in_c):
    def derivatives(find, dtype):
        x, weight, bias = (tensor.detach().to(dtype).requires_grad_() for tensor in drawn)
        first = torch.autograd.grad(find(x, weight, bias).square().sum(), (x, weight, bias), create_graph=True)
        return *first, *torch.autograd.grad(sum(one.square().sum() for one in first), (x, weight, bias))

    drawn = draw(2, 1, 7, 7, 32, 3, torch.float32)
    exact = derivatives(plain, torch.float64)
    ours, torchs = (derivatives(find, torch.float32) for find in (conv_relu, plain))
    assert in_c["conv_relu"] > 0
    for one, other, true in zip(ours, torchs, exact, strict=True):
        assert (one - true).norm() <= 2 * (other - true).norm()


@needs_compiler
def test_c_is_used_in_inference_mode_and_under_autocast(in_c):
    layer, x = ConvReLU(1, 32, 3), torch.rand(3, 1, 8, 8)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found, expected = layer(x), F.conv2d(x, layer.weight, layer.bias).relu()
    assert in_c["conv_relu"] > 0
    torch.testing.assert_close(found, expected)


@needs_compiler
@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
def test_c_computes_in_float32_whatever_the_default_dtype(in_c, default):
    inputs = [tensor.detach().requires_grad_() for tensor in draw(3, 1, 9, 9, 32, 4, torch.float32)]
    inputs[0].requires_grad_(False)
    gradient, before, found = torch.randn(3, 32, 6, 6), torch.get_default_dtype(), []
    try:
        for dtype in (before, default):
            torch.set_default_dtype(dtype)
            found.append(parameter_gradients(conv_relu, gradient, *inputs))
    finally:
        torch.set_default_dtype(before)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


class Subclass(torch.Tensor):
    pass


@needs_compiler
def test_c_is_not_used_where_it_has_no_function_for_the_tensors(in_c):
    for arguments in (draw(2, 1, 8, 8, 32, 3), draw(2, 1, 8, 8, 24, 3, torch.float32)):
        torch.testing.assert_close(conv_relu(*arguments), plain(*arguments))
    with kernels.use("torch"):
        conv_relu(*draw(2, 1, 8, 8, 32, 3, torch.float32))
    x, weight, bias = draw(2, 1, 8, 8, 32, 3, torch.float32)
    conv_relu(x.detach().as_subclass(Subclass), weight, bias).sum().backward()
    assert not in_c


@pytest.mark.parametrize("mode", ["auto", "torch"])
def test_an_empty_batch_has_gradients_of_zero(mode):
    layer = ConvReLU(1, 32, 3)
    with kernels.use(mode):
        layer(torch.rand(0, 1, 8, 8)).sum().backward()
    assert layer.weight.grad.count_nonzero() == 0


@pytest.mark.parametrize("mode", ["auto", "torch"])
def test_images_with_other_channels_than_the_weight_are_refused(mode):
    layer = ConvReLU(1, 32, 3)
    with kernels.use(mode), pytest.raises(RuntimeError, match="channels"):
        layer(torch.rand(2, 2, 8, 8))


def test_autocast_leaves_float64_as_it_is():
    layer, x = ConvReLU(1, 4, 3, dtype=torch.float64), torch.rand(3, 1, 8, 8, dtype=torch.float64)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own forward mode
def test_forward_mode_is_left_to_torch():
    layer, x = ConvReLU(1, 4, 3), torch.rand(3, 1, 8, 8)
    with forward_ad.dual_level():
        out = layer(forward_ad.make_dual(x, x))
        tangent = forward_ad.unpack_dual(out).tangent
    torch.testing.assert_close(tangent, F.conv2d(x, layer.weight) * (layer(x) > 0))
