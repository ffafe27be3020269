"""The strided convolution in C."""

from collections.abc import Iterator

import pytest
import torch
from tests.kernels.strided_conv.comparison import (
    assert_as_exact_as_conv2d,
    error,
    one_thread,
    random_inputs,
    value_and_gradients,
)
from torch import Tensor
from torch.nn import functional as F

from capsnet import kernels
from capsnet.kernels import native
from capsnet.kernels.strided_conv import compiled, op

# b, c, o, height, width, window, stride
SIZES = [
    pytest.param(2, 64, 32, 20, 20, (9, 9), (2, 2), id="paper"),
    pytest.param(1, 32, 64, 24, 28, (9, 9), (2, 2), id="four-outputs-a-tile"),
    pytest.param(70, 32, 32, 9, 11, (5, 4), (3, 2), id="several-blocks"),
    pytest.param(3, 32, 96, 14, 13, (3, 3), (1, 1), id="stride-one"),
    pytest.param(5, 32, 32, 40, 19, (8, 7), (4, 3), id="many-phases"),
]


@pytest.fixture(autouse=True)
def in_c(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CAPSNET_KERNELS", raising=False)
    if native.refuses(compiled.SOURCE) is not None:
        pytest.skip(str(native.refuses(compiled.SOURCE)))
    with one_thread():
        yield


def way(x: Tensor, weight: Tensor, bias: None, stride: tuple[int, int]) -> Tensor:
    result: Tensor = op.strided_conv2d(x, weight, bias, list(stride))
    return result


@pytest.mark.parametrize(("b", "c", "o", "h", "w", "window", "stride"), SIZES)
def test_agrees_with_conv2d_in_value_and_both_gradients(
    b: int, c: int, o: int, h: int, w: int, window: tuple[int, int], stride: tuple[int, int]
) -> None:
    x, weight, _ = random_inputs(b, c, o, h, w, window)
    assert_as_exact_as_conv2d(way, (x, weight), stride)


@pytest.mark.parametrize("batch", [7, 70])
def test_number_of_threads_and_order_in_memory_do_not_change_a_bit(batch: int) -> None:
    x, weight, _ = random_inputs(batch, 64, 64, 12, 12, (5, 5))
    first = value_and_gradients(way, (x, weight), (2, 2))
    torch.set_num_threads(2)
    second = value_and_gradients(way, (x.contiguous(memory_format=torch.channels_last), weight), (2, 2))
    third = value_and_gradients(way, (x, weight.contiguous(memory_format=torch.channels_last)), (2, 2))
    for name, expected in first.items():
        assert torch.equal(expected, second[name]), name
        assert torch.equal(expected, third[name]), name


@pytest.mark.parametrize("batch", [3, 30])
def test_bfloat16_images_give_what_their_float32_values_give(batch: int) -> None:
    x, weight, _ = random_inputs(batch, 32, 32, 12, 12, (5, 5))
    halved = x.bfloat16()
    assert torch.equal(way(halved, weight, None, (2, 2)), way(halved.float(), weight, None, (2, 2)))
    gradient = torch.randn(batch, 32, 4, 4, generator=torch.Generator().manual_seed(1))
    of_halved = op.weight_gradient(gradient, halved, [5, 5], [2, 2])
    assert torch.equal(of_halved, op.weight_gradient(gradient, halved.float(), [5, 5], [2, 2]))


@pytest.mark.parametrize("batch", [3, 30])
@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
def test_c_computes_in_float32_whatever_the_default_dtype(default: torch.dtype, batch: int) -> None:
    x, weight = (tensor.requires_grad_() for tensor in random_inputs(batch, 32, 32, 12, 12, (5, 5))[:2])
    gradient, before, found = torch.randn(batch, 32, 4, 4), torch.get_default_dtype(), []
    try:
        for dtype in (before, default):
            compiled._plan.cache_clear()
            torch.set_default_dtype(dtype)
            value = way(x, weight, None, (2, 2))
            found.append([value, *torch.autograd.grad(value, (x, weight), gradient)])
    finally:
        torch.set_default_dtype(before)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_gradients_of_gradients_are_those_of_conv2d() -> None:
    x, weight = (tensor.requires_grad_() for tensor in random_inputs(2, 32, 32, 9, 9, (5, 5))[:2])
    seconds = []
    for function in (way, F.conv2d):
        first = torch.autograd.grad(function(x, weight, None, (2, 2)).square().sum(), (x, weight), create_graph=True)
        seconds.append(torch.autograd.grad(sum(gradient.square().sum() for gradient in first), (x, weight)))
    for got, expected in zip(*seconds, strict=True):
        assert error(got, expected) < 1e-5


@pytest.mark.parametrize("batch", [1, 3])
def test_shapes_and_strides_in_a_graph_are_the_real_ones(batch: int) -> None:
    x, weight, _ = random_inputs(batch, 32, 64, 12, 10, (5, 5))
    gradient = torch.randn(batch, 64, 4, 3)
    calls = [
        (op.strided_conv2d, (x, weight, None, [2, 2])),
        (op.input_gradient, (gradient, weight, [12, 10], [2, 2])),
        (op.weight_gradient, (gradient, x, [5, 5], [2, 2])),
    ]
    for operator, arguments in calls:
        torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))


def test_c_computes_in_mode_auto_only(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, _ = random_inputs(2, 32, 32, 9, 9, (5, 5))
    monkeypatch.setattr(compiled, "correlate", lambda *_: torch.zeros(2, 32, 3, 3))
    assert way(x, weight, None, (2, 2)).count_nonzero() == 0
    with kernels.use("torch"):
        torch.testing.assert_close(way(x, weight, None, (2, 2)), F.conv2d(x, weight, stride=2), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "dtype", "stride", "reason"),
    [
        ((2, 48, 9, 9), torch.float32, 2, "multiples of 32 channels"),
        ((2, 32, 9, 9), torch.float64, 2, "computes in float32"),
        ((2, 32, 600, 9), torch.float32, 2, "1 to 512 places"),
        ((2, 32, 9, 9), torch.float32, 5, "strides up to 4"),
    ],
)
def test_other_calls_go_to_torch_with_a_reason(
    shape: tuple[int, ...], dtype: torch.dtype, stride: int, reason: str
) -> None:
    x, weight = torch.zeros(shape, dtype=dtype), torch.zeros(32, shape[1], 5, 5, dtype=dtype)
    assert reason in str(compiled.refuses(x, weight, [stride, stride]))


def test_not_finite_values_reach_the_image_they_stand_in_and_no_other() -> None:
    x, weight, _ = random_inputs(30, 32, 32, 9, 9, (5, 5))
    x[1, 4, 4, 4] = float("nan")
    for batch in (3, 30):
        finite = way(x[:batch], weight, None, (2, 2)).isfinite().all(dim=(1, 2, 3))
        assert finite.logical_not().nonzero().tolist() == [[1]]
