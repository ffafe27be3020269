"""Fused implementations of plain functions of this package, and the choice between the two.

A kernel stands in a folder of the name of the plain function that it replaces, offers that name and `refuses`, which
says in words why a call is not for it, and has its derivation in the folder's README.md. This folder may be deleted:
the plain functions are complete. `strided_conv` and `conv_relu.py` stand for operations of torch.

The environment variable `CAPSNET_KERNELS` is `auto` (the default: a kernel wherever none of its reasons to refuse
holds), `torch` (only kernels that need no C compiler) or `plain` (none).
"""

import functools
import logging
from collections.abc import Callable
from typing import Any

import torch

from capsnet.kernels import conv_relu, dynamic_routing, dynamic_routing_maps, infer_mixture, strided_conv
from capsnet.kernels.choice import Mode as Mode
from capsnet.kernels.choice import mode as mode
from capsnet.kernels.choice import use as use
from capsnet.torch_internals import in_transform

_KERNELS: dict[str, tuple[Callable[..., Any], Callable[..., str | None]]] = {
    "conv_relu": (conv_relu.conv_relu, conv_relu.refuses),
    "dynamic_routing": (dynamic_routing.dynamic_routing, dynamic_routing.refuses),
    "dynamic_routing_maps": (dynamic_routing_maps.dynamic_routing_maps, dynamic_routing_maps.refuses),
    "infer_mixture": (infer_mixture.infer_mixture, infer_mixture.refuses),
    "strided_conv": (strided_conv.conv2d, strided_conv.refuses),
}


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
