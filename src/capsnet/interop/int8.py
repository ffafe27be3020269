"""Weights of an ONNX model in 8 bits; activations stay float32."""

import numpy as np
import onnx
from jaxtyping import Float
from onnx import helper, numpy_helper

# smaller ones save nothing
_LEAST_SIZE = 1024


def shrink_weights(model: onnx.ModelProto) -> int:
    """Store the larger weights of a model as int8 with one scale for each index of an axis; the model is changed.

    Weights become `scale * int8`, with scales so that the largest weight is 127. Of the possible axes of the scales the
    one is chosen that changes the weights least.

    Args:
        model: with float32 weights.

    Returns:
        How many tensors became int8.
    """
    graph, count = model.graph, 0
    for weight in list(graph.initializer):
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.ndim < 2 or values.size < _LEAST_SIZE:
            continue
        axis, scales = min(
            ((axis, _scales(values, axis)) for axis in range(values.ndim) if values.shape[axis] > 1),
            key=lambda choice: _error(values, *choice),
        )
        small = _round(values, axis, scales)
        name, count = weight.name, count + 1
        graph.initializer.remove(weight)
        graph.initializer.extend(
            [numpy_helper.from_array(small, f"{name}_int8"), numpy_helper.from_array(scales, f"{name}_scales")]
        )
        node = helper.make_node("DequantizeLinear", [f"{name}_int8", f"{name}_scales"], [name], axis=axis)
        graph.node.insert(0, node)
    return count


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
