import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

from capsnet import kernels
from capsnet.kernels import conv_relu as module
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
