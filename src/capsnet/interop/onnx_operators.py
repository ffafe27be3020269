"""Operators of PyTorch that ONNX lacks, composed of ONNX operators."""

from collections.abc import Callable, Mapping
from typing import Any

from onnxscript import opset20 as op

from capsnet.torch_internals import DIGAMMA

# below this the asymptotic series is inaccurate in float32
_LARGE = 6


def _digamma(x: Any) -> Any:
    """The logarithmic derivative of the gamma function for positive numbers.

    Abramowitz, Stegun, "Handbook of Mathematical Functions", 1964: the recurrence 6.3.5 up to x + 6, then the
    asymptotic series 6.3.18.
    """
    below = op.Reciprocal(x)
    for step in range(1, _LARGE):
        below = op.Add(below, op.Reciprocal(op.Add(x, _number(step, x))))
    large = op.Add(x, _number(_LARGE, x))
    inverse = op.Reciprocal(large)
    square = op.Mul(inverse, inverse)
    series = op.Mul(square, _number(-1 / 252, x))
    for factor in (1 / 120, -1 / 12):
        series = op.Mul(square, op.Add(series, _number(factor, x)))
    return op.Sub(op.Add(op.Sub(op.Log(large), op.Mul(inverse, _number(0.5, x))), series), below)


def _number(value: float, like: Any) -> Any:
    return op.CastLike(op.Constant(value_float=float(value)), like)


def translations() -> Mapping[Callable[..., Any], Callable[..., Any]]:
    """The operators with their translations, for `torch.onnx.export`."""
    return dict.fromkeys(DIGAMMA, _digamma)
