"""Store the weights of an ONNX model in 8 or 16 bits; activations stay float32."""

from typing import Literal

import numpy as np
import onnx
from jaxtyping import Float
from onnx import helper, numpy_helper

# smaller tensors are not worth converting
_LEAST_SIZE = 1024


Kind = Literal["int8", "float16"]


def shrink_weights(model: onnx.ModelProto, kind: Kind) -> int:
    """Store the larger float32 weights of a model in fewer bits; a node before their use converts them back.

    In int8, weights are `scale * int8` with one scale for each index of an axis, whose largest weight becomes 127. The
    axis with the smallest error is chosen.

    Args:
        model: the model, which is changed.
        kind: `"int8"`; or `"float16"`, half the size of float32, in which numbers below 0.00006 lose digits.

    Returns:
        Number of converted tensors.
    """
    graph, count = model.graph, 0
    for weight in list(graph.initializer):
        values = numpy_helper.to_array(weight)
        large = values.dtype == np.float32 and values.ndim > 1 and values.size >= _LEAST_SIZE
        if large and np.abs(values).max() <= np.finfo(np.float16).max:
            graph.initializer.remove(weight)
            tensors, node = (_to_int8 if kind == "int8" else _to_float16)(values, weight.name)
            graph.initializer.extend(tensors)
            graph.node.insert(0, node)
            count += 1
    return count


Small = tuple[list[onnx.TensorProto], onnx.NodeProto]


def _to_float16(values: Float[np.ndarray, "..."], name: str) -> Small:
    small = numpy_helper.from_array(values.astype(np.float16), f"{name}_float16")
    return [small], helper.make_node("Cast", [small.name], [name], to=onnx.TensorProto.FLOAT)


def _to_int8(values: Float[np.ndarray, "..."], name: str) -> Small:
    axis, scales = min(
        ((axis, _scales(values, axis)) for axis in range(values.ndim)),
        key=lambda choice: _error(values, *choice),
    )
    small = numpy_helper.from_array(_round(values, axis, scales), f"{name}_int8")
    factors = numpy_helper.from_array(scales, f"{name}_scales")
    return [small, factors], helper.make_node("DequantizeLinear", [small.name, factors.name], [name], axis=axis)


def _scales(values: Float[np.ndarray, "..."], axis: int) -> Float[np.ndarray, " k"]:
    others = tuple(other for other in range(values.ndim) if other != axis)
    largest: np.ndarray = np.abs(values).max(axis=others)
    scales: np.ndarray = (np.maximum(largest, np.finfo(np.float32).tiny * 127) / 127).astype(np.float32)
    return scales


def _round(values: Float[np.ndarray, "..."], axis: int, scales: Float[np.ndarray, " k"]) -> np.ndarray:
    rounded: np.ndarray = np.rint(values / _along(scales, axis, values.ndim)).clip(-127, 127).astype(np.int8)
    return rounded


def _error(values: Float[np.ndarray, "..."], axis: int, scales: Float[np.ndarray, " k"]) -> float:
    restored = _round(values, axis, scales) * _along(scales, axis, values.ndim)
    return float(np.square(values - restored).sum())


def _along(scales: Float[np.ndarray, " k"], axis: int, axes: int) -> np.ndarray:
    return scales.reshape([-1 if other == axis else 1 for other in range(axes)])
