import threading
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
from torch.autograd import forward_ad
from torch.nn import functional as F

from capsnet import kernels
from capsnet.errors import UserError
from capsnet.kernels import strided_conv
from capsnet.kernels.strided_conv import algorithm, op
from capsnet.layers import PrimaryCapsules

# b, c, o, height, width, window, stride
SIZES = [
    pytest.param(12, 32, 48, 20, 20, (9, 9), (2, 2), id="paper"),
    pytest.param(13, 7, 5, 28, 24, (9, 9), (2, 2), id="four-outputs-a-tile"),
    pytest.param(12, 1, 3, 17, 23, (5, 4), (3, 2), id="odd"),
    pytest.param(12, 5, 1, 14, 13, (3, 3), (1, 1), id="stride-one"),
]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CAPSNET_KERNELS", raising=False)
    monkeypatch.setattr(strided_conv, "least_images", lambda type_name, compiled: 12)
    with one_thread():
        yield


@pytest.mark.parametrize(("b", "c", "o", "h", "w", "window", "stride"), SIZES)
def test_agrees_with_conv2d_in_value_and_every_gradient(
    b: int, c: int, o: int, h: int, w: int, window: tuple[int, int], stride: tuple[int, int]
) -> None:
    assert_as_exact_as_conv2d(strided_conv.conv2d, random_inputs(b, c, o, h, w, window), stride)


def test_error_at_the_papers_size_is_below_40_units_in_value_and_every_gradient() -> None:
    # an absolute bound, as conv2d's own error is the processor's: 1.8e-6 with AVX2, 0.4e-6 with AVX-512
    x, weight, _ = random_inputs(2, 256, 256, 20, 20, (9, 9))
    exact = value_and_gradients(F.conv2d, (x.double(), weight.double(), torch.zeros(256).double()), (2, 2))
    got = value_and_gradients(fast_way, (x, weight, torch.zeros(256)), (2, 2))
    for name in ("value", "x", "weight"):
        assert error(got[name], exact[name]) < 40 * torch.finfo(torch.float32).eps, name


def fast_way(x: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, int]) -> Tensor:
    result: Tensor = op.strided_conv2d(x, weight, bias, list(stride))
    return result


def test_fast_way_is_more_exact_than_torchs_under_autocast() -> None:
    inputs = random_inputs(12, 32, 48, 20, 20, (9, 9))
    exact = value_and_gradients(F.conv2d, tuple(tensor.double() for tensor in inputs), (2, 2))
    with torch.autocast("cpu", torch.bfloat16):
        assert strided_conv.refuses(*inputs, 2) is None
        got = value_and_gradients(strided_conv.conv2d, inputs, (2, 2))
        plain = value_and_gradients(F.conv2d, inputs, (2, 2))
    for name in ("value", "x", "weight"):
        assert error(got[name], exact[name]) < error(plain[name], exact[name]) / 100, name


def test_half_precision_images_give_half_precision_gradients_under_autocast() -> None:
    x, weight, bias = random_inputs(12, 4, 5, 20, 20, (9, 9))
    halved = x.bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        output = strided_conv.conv2d(halved, weight, bias, 2)
    (gradient,) = torch.autograd.grad(output.sum(), halved)
    assert output.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16


def test_gradients_and_their_gradients_are_right_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, 8, 7, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(3, 2, 5, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, generator=generator, requires_grad=True)

    def conv(*inputs: Tensor) -> Tensor:
        result: Tensor = op.strided_conv2d(*inputs, [2, 1])
        return result

    assert torch.autograd.gradcheck(conv, (x, weight, bias), fast_mode=True)
    assert torch.autograd.gradgradcheck(conv, (x, weight, bias), fast_mode=True)


def test_operators_are_registered_rightly() -> None:
    x, weight, bias = (tensor.requires_grad_() for tensor in random_inputs(2, 2, 3, 9, 8, (5, 5)))
    torch.library.opcheck(op.strided_conv2d, (x, weight, bias, [2, 2]))
    gradient = torch.randn(2, 3, 3, 2, requires_grad=True)
    torch.library.opcheck(op.input_gradient, (gradient, weight, [9, 8], [2, 2]))
    torch.library.opcheck(op.weight_gradient, (gradient, x, [5, 5], [2, 2]))


@pytest.mark.parametrize("limit", ["GROUP_BYTES", "PART_BYTES", "PIECE_BYTES"])
def test_groups_parts_and_pieces_do_not_change_the_result(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = tuple(tensor.double() for tensor in random_inputs(13, 4, 5, 20, 20, (9, 9)))
    whole = value_and_gradients(strided_conv.conv2d, inputs, (2, 2))
    monkeypatch.setattr(algorithm, limit, 5_000)
    split = value_and_gradients(strided_conv.conv2d, inputs, (2, 2))
    for name, expected in whole.items():
        torch.testing.assert_close(split[name], expected, msg=name)


def test_half_precision_images_are_widened_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = random_inputs(13, 4, 5, 20, 20, (9, 9))
    halved = x.bfloat16()
    expected = value_and_gradients(fast_way, (halved.float(), weight, bias), (2, 2))
    monkeypatch.setattr(algorithm, "PIECE_BYTES", 5_000)
    got = value_and_gradients(fast_way, (halved, weight, bias), (2, 2))
    for name in ("value", "weight", "bias"):
        assert error(got[name], expected[name]) < 40 * torch.finfo(torch.float32).eps, name
    assert error(got["x"].float(), expected["x"]) < torch.finfo(torch.bfloat16).eps


def test_result_is_the_same_bit_for_bit_when_repeated() -> None:
    inputs = random_inputs(12, 16, 16, 20, 20, (9, 9))
    first = value_and_gradients(strided_conv.conv2d, inputs, (2, 2))
    again = value_and_gradients(strided_conv.conv2d, inputs, (2, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_any_memory_order_of_the_input_is_read() -> None:
    x, weight, bias = random_inputs(12, 4, 5, 20, 20, (9, 9))
    expected = strided_conv.conv2d(x, weight, bias, 2)
    last = strided_conv.conv2d(x.to(memory_format=torch.channels_last), weight.mT.contiguous().mT, bias, 2)
    torch.testing.assert_close(last, expected)


@pytest.mark.usefixtures("unchecked")
def test_a_layer_that_is_compiled_gives_the_same() -> None:
    x, weight, bias = random_inputs(12, 4, 5, 20, 20, (9, 9))
    compiled = torch.compile(strided_conv.conv2d, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x, weight, bias, 2), strided_conv.conv2d(x, weight, bias, 2))


X, WEIGHT = torch.zeros(12, 2, 20, 20), torch.zeros(3, 2, 9, 9)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("x", "weight", "stride", "reason"),
    [
        (X.to("meta"), WEIGHT.to("meta"), 2, "runs on the CPU"),
        (X.bfloat16(), WEIGHT.bfloat16(), 2, "float32 or float64"),
        (X.double(), WEIGHT, 2, "float32 or float64"),
        (X[:7], WEIGHT, 2, "pays from 12 images on"),
        (X, WEIGHT[:, :1], 2, "with one c"),
        (X[..., :8], WEIGHT, 2, "does not fit"),
        (X, WEIGHT, 1, "needs more than 8 points"),
        (X, WEIGHT[..., :1, :1], 1, "saves a factor of 1.00"),
        (X, WEIGHT[..., :2, :2], 2, "saves a factor of 1.00"),
    ],
)
def test_refuses_in_words(x: Tensor, weight: Tensor, stride: int, reason: str) -> None:
    assert reason in (strided_conv.refuses(x, weight, None, stride) or "")
    with pytest.raises(UserError, match=r"use torch\.nn\.functional\.conv2d"):
        strided_conv.conv2d(x, weight, None, stride)


def test_refuses_under_autocast_to_a_type_it_does_not_know() -> None:
    assert strided_conv.refuses(X, WEIGHT, None, 2) is None
    with torch.autocast("cpu", torch.float16):
        assert "autocast" in (strided_conv.refuses(X, WEIGHT, None, 2) or "")


def test_a_layer_takes_torchs_own_where_the_kernel_refuses() -> None:
    layer = PrimaryCapsules(2, 1, pose_dim=4)
    few, many = torch.rand(3, 2, 20, 20), torch.rand(12, 2, 20, 20)
    with kernels.use("plain"):
        plain_of_few, plain_of_many = layer(few).poses, layer(many).poses
    assert torch.equal(layer(few).poses, plain_of_few)
    assert not torch.equal(layer(many).poses, plain_of_many)
    torch.testing.assert_close(layer(many).poses, plain_of_many)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own forward mode
def test_forward_mode_is_left_to_torch() -> None:
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(X, torch.ones_like(X))
        assert strided_conv.refuses(dual, WEIGHT, None, 2) == "it has no forward-mode derivative"


def test_autocast_of_one_thread_does_not_reach_another():
    """B enters without autocast, A with it; B leaves first, then A."""
    entered, leave = threading.Event(), threading.Event()
    states = {}

    @op.in_their_own_type
    def wait():
        entered.set()
        leave.wait(10)

    def other():
        wait()
        states["B"] = torch.is_autocast_enabled("cpu")

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(10)

    @op.in_their_own_type
    def end():
        leave.set()
        thread.join(10)

    with torch.autocast("cpu", torch.bfloat16):
        end()
        states["A"] = torch.is_autocast_enabled("cpu")
    assert states == {"A": True, "B": False}
