"""Convolution with a large window and few outputs, as in primary capsules, with a quarter of the multiplications.

Polyphase decomposition and the short correlations of Toom, Cook and Winograd (README.md in this folder): a 9x9 window
with stride 2 on 20x20 places needs 26² · channels products instead of 54². On the CPU only, in float32 or float64.

Whether that is faster depends on the machine, so it is measured once for each shape; README.md says what a run must
keep in order to go on, bit for bit, after it was interrupted.
"""

import functools
import logging
import operator
import os
import time
from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from capsnet import functional
from capsnet.errors import UserError
from capsnet.kernels.choices import constant, remember
from capsnet.kernels.strided_conv.bilinear import MAX_POINTS, axis, tile_size
from capsnet.kernels.strided_conv.op import strided_conv2d

Way = Literal["fast", "plain"]

MIN_BATCH = 12
"""With fewer images the window's transformation, which every call pays once, costs more than it saves."""
MIN_SAVING = 1.5
"""With fewer multiplications saved than this factor there is nothing to gain, and nothing is measured."""
MEASURED = (16, 64)
"""Numbers of images for which the two ways are compared; a batch goes by the largest that it reaches."""
PATIENCE = 2.0
"""Seconds after which a measurement starts no further round."""
MARGIN = 1.1
"""How much faster the fast way must be to be taken: a near tie must not be decided by noise."""

# what this process has measured or was told; a choice never changes once it is made
_choices: dict[str, Way] = {}


def conv2d(
    x: Float[Tensor, "b c h w"],
    weight: Float[Tensor, "o c kh kw"],
    bias: Float[Tensor, " o"] | None = None,
    stride: int | tuple[int, int] = 1,
) -> Float[Tensor, "b o h2 w2"]:
    """Compute `torch.nn.functional.conv2d(x, weight, bias, stride)` in the faster of two ways.

    The result is the same but for rounding. Where the fast way is taken, it lies in channels-last order, as capsules
    read it. It is differentiable in all three tensors, any number of times.

    Under autocast to bfloat16, torch's way multiplies in bfloat16 and the fast way in float32, the only type in which
    its transforms are exact enough: there it is the more exact one of the two.

    Args:
        x: feature maps.
        weight: windows.
        bias: added to each output channel.
        stride: step of the window, or the vertical and the horizontal one.
    """
    steps = (stride, stride) if isinstance(stride, int) else stride
    if choose(x, weight, steps) == "fast":
        return _fast(x, weight, bias, steps)
    return functional.conv2d(x, weight, bias, steps)


def _fast(x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int]) -> Tensor:
    result: Tensor = strided_conv2d(x, weight, bias, list(stride))
    return result


def refuses(x: Tensor, weight: Tensor, stride: int | tuple[int, int]) -> str | None:
    """Say in words why the fast way cannot, or should not, compute this convolution; None if it can."""
    steps = (stride, stride) if isinstance(stride, int) else stride
    if x.device.type != "cpu" or weight.device.type != "cpu":
        return f"it runs on the CPU, and the tensors are on {x.device} and {weight.device}"
    halved = _halved() and x.dtype in (torch.bfloat16, torch.float32) and weight.dtype == torch.float32
    if not halved and (x.dtype != weight.dtype or x.dtype not in (torch.float32, torch.float64)):
        return f"it needs float32 or float64 throughout, and the tensors are {x.dtype} and {weight.dtype}"
    if torch.is_autocast_enabled("cpu") and not halved:
        return "autocast asks for a type that it does not know"
    if torch.compiler.is_exporting() or torch._C._get_tracing_state() is not None:
        return "an exported program keeps the standard operator"
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1]:
        return f"it needs b c h w and o c k k with one c, and the shapes are {tuple(x.shape)} and {tuple(weight.shape)}"
    if min(*steps, *weight.shape) < 1 or x.shape[2] < weight.shape[2] or x.shape[3] < weight.shape[3]:
        return f"a window of {tuple(weight.shape[2:])} does not fit into {tuple(x.shape[2:])} places"
    if x.shape[0] < MIN_BATCH:
        return f"transforming the windows pays from {MIN_BATCH} images on, and there are {x.shape[0]}"
    sizes = zip(x.shape[2:], weight.shape[2:], steps, strict=True)
    reason: str | None = _too_little(
        tuple((operator.index(size), operator.index(taps), step) for size, taps, step in sizes)
    )
    return reason


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


def choose(x: Tensor, weight: Tensor, stride: int | tuple[int, int]) -> Way:
    """Tell which way `conv2d` takes: `"fast"` or `"plain"`, which is torch's own convolution.

    In this order: `CAPSNET_KERNELS=plain`; the reasons of `refuses`; `CAPSNET_STRIDED_CONV` (`fast`, `plain`, or
    `auto`, the default); what `pin` was given, or this machine has measured for these sizes and about as many images;
    a measurement of a second or two, forward and backward, in which the fast way must win clearly. It is written to the
    user's cache, so that all processes of a machine take the same way.

    Raises:
        UserError: `CAPSNET_STRIDED_CONV` holds another word.
    """
    # the parent imports nothing from this folder, and may be replaced
    from capsnet.kernels import mode

    steps = (stride, stride) if isinstance(stride, int) else stride
    asked = os.environ.get("CAPSNET_STRIDED_CONV") or "auto"
    if asked not in ("auto", "fast", "plain"):
        raise UserError(f"CAPSNET_STRIDED_CONV must be 'auto', 'fast' or 'plain', got {asked!r}")
    if asked == "plain" or mode() == "plain":
        return "plain"
    reason = refuses(x, weight, steps)
    if reason is not None:
        # a logger inside a compiled graph would break it in two
        if not torch.compiler.is_compiling():
            _log_once(f"strided_conv: torch's convolution, because {reason}")
        return "plain"
    if asked == "fast":
        return "fast"
    # inside a compiled graph a size may be a symbol: the choice fixes it
    sizes = [operator.index(size) for size in (*x.shape[1:], *weight.shape, *steps)]
    images = next(count for count in reversed(MEASURED) if count <= max(x.shape[0], MEASURED[0]))
    way: Way = _decide("bfloat16" if _halved() else str(weight.dtype).removeprefix("torch."), images, *sizes)
    return way


def choices() -> dict[str, Way]:
    """What was chosen so far, for a checkpoint: a resumed run gives it to `pin` before its first step."""
    return dict(_choices)


def pin(chosen: Mapping[str, str]) -> None:
    """Set choices that an earlier process made, so that they are not measured again.

    Raises:
        UserError: a way other than `"fast"` and `"plain"`.
    """
    for key, way in chosen.items():
        if way not in ("fast", "plain"):
            raise UserError(f"choice for {key} must be 'fast' or 'plain', got {way!r}")
    _choices.update({key: "fast" if way == "fast" else "plain" for key, way in chosen.items()})


@constant
def _decide(dtype: str, images: int, *sizes: int) -> Way:
    image, window, stride = sizes[:3], sizes[3:7], sizes[7:]
    shapes = (f"{images}x{'x'.join(map(str, image))}", f"window {'x'.join(map(str, window))}")
    key = " ".join((*shapes, f"stride {stride[0]}x{stride[1]} {dtype}"))
    if key not in _choices:

        def decide() -> Way:
            plain, fast = measure(image, window, (stride[0], stride[1]), getattr(torch, dtype), images=images)
            times = f"{fast * 1e3:.0f} ms, torch's own {plain * 1e3:.0f} ms"
            logging.getLogger("capsnet").info(f"strided_conv, {key}: {times}")
            return "fast" if fast * MARGIN < plain else "plain"

        _choices[key] = "fast" if remember(f"strided_conv {key}", ("fast", "plain"), decide) == "fast" else "plain"
    return _choices[key]


def measure(
    image: tuple[int, ...],
    window: tuple[int, ...],
    stride: tuple[int, int],
    dtype: torch.dtype = torch.float32,
    *,
    images: int = 16,
    rounds: int = 3,
) -> tuple[float, float]:
    """Time forward and backward of the plain and of the fast way, in turn; the shortest of the rounds, in seconds.

    Args:
        image: channels, height and width.
        window: output channels, channels, height and width.
        stride: vertical and horizontal step.
        dtype: of all tensors; for bfloat16, what autocast makes of a float32 window.
        images: size of the batch.
        rounds: how often each is timed, after one round that is not; fewer once `PATIENCE` is over.
    """
    times: tuple[list[float], list[float]] = ([], [])
    with torch.inference_mode(False), torch.enable_grad():
        # the values do not matter, and the global generator must stay as it is
        x = torch.linspace(-1, 1, images, dtype=dtype).view(-1, 1, 1, 1).repeat(1, *image).requires_grad_()
        wide = torch.float32 if dtype == torch.bfloat16 else dtype
        weight = torch.full(window, 0.01, dtype=wide, requires_grad=True)
        begin = time.perf_counter()
        for done in range(rounds + 1):
            # on a busy machine one round may take seconds
            if done and time.perf_counter() - begin > PATIENCE:
                break
            for way, taken in enumerate(times):
                start = time.perf_counter()
                output = _fast(x, weight, None, stride) if way else F.conv2d(x, weight.to(dtype), None, stride)
                torch.autograd.grad(output, (x, weight), torch.ones_like(output))
                taken.append(time.perf_counter() - start)
    # the first round pays for new memory, and counts only where there is no other
    plain, fast = (min(taken[1:] or taken) for taken in times)
    return plain, fast


@functools.cache
def _log_once(message: str) -> None:
    logging.getLogger("capsnet").info(message)
