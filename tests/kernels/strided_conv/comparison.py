"""A convolution compared with PyTorch's, in value and gradients."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

Convolution = Callable[..., Tensor]


@contextmanager
def one_thread() -> Iterator[None]:
    """Many short products: threads that wait for a busy processor would make up all of a test's time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_inputs(b: int, c: int, o: int, h: int, w: int, window: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Images, weight and bias, the same at each call."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(b, c, h, w, generator=generator).relu()
    weight = torch.randn(o, c, *window, generator=generator) * 0.01
    return x, weight, torch.randn(o, generator=generator)


def value_and_gradients(
    convolution: Convolution, inputs: Sequence[Tensor], stride: tuple[int, int]
) -> dict[str, Tensor]:
    """The output, as "value", and the gradients in "x", "weight" and, if `inputs` has one, "bias"."""
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    output = convolution(*leaves, stride) if len(leaves) == 3 else convolution(*leaves, None, stride)
    direction = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output.dtype)
    gradients = torch.autograd.grad(output, leaves, direction)
    return dict(zip(("value", "x", "weight", "bias")[: 1 + len(leaves)], (output.detach(), *gradients), strict=True))


def error(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).norm() / expected.norm())


def assert_as_exact_as_conv2d(convolution: Convolution, inputs: Sequence[Tensor], stride: tuple[int, int]) -> None:
    """Compare both with float64: at most twice conv2d's error, or 40 units of float32."""
    exact = value_and_gradients(F.conv2d, [tensor.double() for tensor in inputs], stride)
    plain = value_and_gradients(F.conv2d, inputs, stride)
    torch.use_deterministic_algorithms(True)  # new memory is filled with NaN
    try:
        got = value_and_gradients(convolution, inputs, stride)
    finally:
        torch.use_deterministic_algorithms(False)
    for name, expected in exact.items():
        # the transforms' own rounding is 7 to 27 units of 2**-23 whatever the size, where a direct sum of few channels
        # has one or two (README.md); a sum of 20736 terms has 15 as well: there the factor is 1.2
        bound = max(2 * error(plain[name], expected), 40 * torch.finfo(torch.float32).eps)
        assert error(got[name], expected) < bound, name
