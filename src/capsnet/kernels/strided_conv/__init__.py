"""Convolution with a large window and few outputs, as in primary capsules, with a quarter of the multiplications.

Polyphase decomposition and the short correlations of Toom, Cook and Winograd (README.md in this folder): a 9x9 window
with stride 2 on 20x20 places needs 26² · channels products instead of 54². On the CPU only, in float32 or float64;
float32 with multiples of 32 channels is computed in C, where there is a compiler.

From how many images on that is faster depends on the processor: `table.json` holds it.
"""

import operator

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.errors import UserError
from capsnet.kernels.strided_conv import compiled
from capsnet.kernels.strided_conv.bilinear import MAX_POINTS, axis, tile_size
from capsnet.kernels.strided_conv.op import strided_conv2d
from capsnet.kernels.strided_conv.table import instructions, least_images
from capsnet.torch_internals import constant, has_tangent, is_tracing

MIN_SAVING = 1.5
"""Minimum factor of saved multiplications that pays off."""


def conv2d(
    x: Float[Tensor, "b c h w"],
    weight: Float[Tensor, "o c kh kw"],
    bias: Float[Tensor, " o"] | None = None,
    stride: int | tuple[int, int] = 1,
) -> Float[Tensor, "b o h2 w2"]:
    """Compute `torch.nn.functional.conv2d(x, weight, bias, stride)` with fewer multiplications.

    The result is the same but for rounding, and lies in channels-last order, as capsules read it. It is differentiable
    in all three tensors, any number of times.

    Under autocast to bfloat16 it multiplies in float32, the only type in which its transforms are exact enough: there
    it is more exact than PyTorch's.

    Args:
        x: feature maps.
        weight: windows.
        bias: added to each output channel.
        stride: step of the window, or the vertical and the horizontal one.

    Raises:
        UserError: a call that `refuses` names a reason against.
    """
    reason = refuses(x, weight, bias, stride)
    if reason is not None:
        raise UserError(f"the fast convolution cannot take this call: {reason}; use torch.nn.functional.conv2d")
    result: Tensor = strided_conv2d(x, weight, bias, list(_steps(stride)))
    return result


def refuses(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | tuple[int, int] = 1) -> str | None:
    """The reason why this convolution cannot, or should not, be computed here; None if it can."""
    steps = _steps(stride)
    if x.device.type != "cpu" or weight.device.type != "cpu":
        return f"it runs on the CPU, and the tensors are on {x.device} and {weight.device}"
    halved = _halved() and x.dtype in (torch.bfloat16, torch.float32) and weight.dtype == torch.float32
    if not halved and (x.dtype != weight.dtype or x.dtype not in (torch.float32, torch.float64)):
        return f"it needs float32 or float64 throughout, and the tensors are {x.dtype} and {weight.dtype}"
    if torch.is_autocast_enabled("cpu") and not halved:
        return "autocast requires a dtype that it does not support"
    if torch.compiler.is_exporting() or is_tracing():
        return "an exported program keeps the standard operator"
    tensors = (x, weight) if bias is None else (x, weight, bias)
    # a compiler takes the derivative of what it traces by itself
    if not torch.compiler.is_compiling() and any(map(has_tangent, tensors)):
        return "it has no forward-mode derivative"
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1]:
        return f"it needs b c h w and o c k k with one c, and the shapes are {tuple(x.shape)} and {tuple(weight.shape)}"
    if min(*steps, *weight.shape) < 1 or x.shape[2] < weight.shape[2] or x.shape[3] < weight.shape[3]:
        return f"a window of {tuple(weight.shape[2:])} does not fit into {tuple(x.shape[2:])} places"
    sizes = zip(x.shape[2:], weight.shape[2:], steps, strict=True)
    reason: str | None = _too_little(
        tuple((operator.index(size), operator.index(taps), step) for size, taps, step in sizes)
    )
    return reason or _too_few(x, weight, list(steps))


def _steps(stride: int | tuple[int, int]) -> tuple[int, int]:
    return (stride, stride) if isinstance(stride, int) else stride


def _too_few(x: Tensor, weight: Tensor, steps: list[int]) -> str | None:
    type_name = "bfloat16" if _halved() else str(weight.dtype).removeprefix("torch.")
    least = least_images(type_name, compiled=compiled.refuses(x, weight, steps) is None)
    if least is None:
        return f"PyTorch's convolution is faster in {type_name} with {instructions()}"
    if x.shape[0] < least:
        return f"it pays from {least} images on, in {type_name} with {instructions()}, and there are {x.shape[0]}"
    return None


def _halved() -> bool:
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


@constant
def _too_little(axes: tuple[tuple[int, int, int], ...]) -> str | None:
    saving = 1.0
    for size, taps, step in axes:
        if tile_size(size, taps, step) == 0:
            return f"a window of {taps} with stride {step} needs more than {MAX_POINTS} points, which rounds too much"
        saving *= ((size - taps) // step + 1) * taps / axis(size, taps, step).products
    if saving < MIN_SAVING:
        return f"it saves a factor of {saving:.2f} of the multiplications only, and pays from {MIN_SAVING} on"
    return None
