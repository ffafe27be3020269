"""Fused implementations of plain functions of this package, and the choice between the two.

A kernel stands in a folder of the name of the plain function that it replaces, offers that name and `refuses`, which
says in words why a call is not for it, and has its derivation in the folder's README.md. This folder may be deleted:
the plain functions are complete. `strided_conv` and `conv_relu.py` stand for operations of torch.

The environment variable `CAPSNET_KERNELS` is `auto` (the default: a kernel wherever none of its reasons to refuse
holds) or `plain` (never).
"""

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch

from capsnet.errors import UserError
from capsnet.kernels import conv_relu, dynamic_routing, dynamic_routing_maps, infer_mixture, strided_conv
from capsnet.torch_internals import in_transform

Mode = Literal["auto", "plain"]

_VARIABLE = "CAPSNET_KERNELS"
_KERNELS: dict[str, tuple[Callable[..., Any], Callable[..., str | None]]] = {
    "conv_relu": (conv_relu.conv_relu, conv_relu.refuses),
    "dynamic_routing": (dynamic_routing.dynamic_routing, dynamic_routing.refuses),
    "dynamic_routing_maps": (dynamic_routing_maps.dynamic_routing_maps, dynamic_routing_maps.refuses),
    "infer_mixture": (infer_mixture.infer_mixture, infer_mixture.refuses),
    "strided_conv": (strided_conv.conv2d, strided_conv.refuses),
}


def mode() -> str:
    """The implementations in use: `"auto"` or `"plain"`.

    Raises:
        UserError: `CAPSNET_KERNELS` holds something else.
    """
    chosen = os.environ.get(_VARIABLE) or "auto"
    if chosen not in ("auto", "plain"):
        raise UserError(f"{_VARIABLE} must be 'auto' or 'plain', got {chosen!r}")
    return chosen


@contextlib.contextmanager
def use(mode: Mode) -> Iterator[None]:
    """Choose `"auto"` or `"plain"` inside a `with` block, through an environment variable of the whole process.

    A compiled model keeps the choice made at compile time.

    Raises:
        UserError: another word.

    Example:
        >>> with capsnet.kernels.use("plain"):
        ...     output = model(images)
    """
    if mode not in ("auto", "plain"):
        raise UserError(f"mode must be 'auto' or 'plain', got {mode!r}")
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = mode
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE)
        if before is not None:
            os.environ[_VARIABLE] = before


def fused(name: str, *arguments: object, **options: object) -> Callable[..., Any] | None:
    """The kernel of a plain function for one call, or None to use the plain function.

    The first refusal for a reason is logged to the logger `capsnet`.

    Args:
        name: the plain function's name, and the kernel folder's.
        arguments: of the call.
        options: of the call.
    """
    if mode() == "plain":
        return None
    kernel, refuses = _KERNELS[name]
    reason = "torch.func transforms plain code only" if in_transform() else refuses(*arguments, **options)
    if reason is None:
        return kernel
    # a logger call would cause a graph break
    if not torch.compiler.is_compiling():
        _log_once(f"{name}: plain implementation, because {reason}")
    return None


@functools.cache
def _log_once(message: str) -> None:
    logging.getLogger("capsnet").info(message)
