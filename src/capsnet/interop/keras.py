"""Capsule layers for Keras 3, on any of its backends, with the names and arguments of CapsNet-Keras.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017; github.com/XifengGuo/CapsNet-Keras. PyTorch is
not imported, unless it is Keras' backend. Images and feature maps have their channels last.
"""

from collections.abc import Sequence
from typing import Any

try:
    import keras
    from keras import ops
except ModuleNotFoundError as fault:
    if fault.name == "keras":
        raise ModuleNotFoundError("capsnet.keras needs an extra: pip install 'capsnet[keras]'", name="keras") from None
    raise ModuleNotFoundError(
        f"Keras' backend {fault.name} is not installed; set the environment variable KERAS_BACKEND to torch, which "
        "capsnet brings, or to jax",
        name=fault.name,
    ) from None

KerasTensor = Any
"""A backend tensor, or a symbolic one while a model is built."""
EPSILON = 1e-7
"""Added under square roots, as in CapsNet-Keras."""


@keras.saving.register_keras_serializable("capsnet")
def squash(vectors: KerasTensor, axis: int = -1) -> KerasTensor:
    """Shorten vectors to a length in [0, 1) and keep their direction (Eq. 1).

    Args:
        vectors: any shape; half precision is computed in float32.
        axis: axis of a vector's entries.
    """
    wide = _widen(vectors)
    squared = ops.sum(ops.square(wide), axis=axis, keepdims=True)
    return ops.cast(squared / (1.0 + squared) / ops.sqrt(squared + EPSILON) * wide, vectors.dtype)


@keras.saving.register_keras_serializable("capsnet")
def margin_loss(y_true: KerasTensor, y_pred: KerasTensor) -> KerasTensor:
    """Margin loss (Eq. 4) of each sample; `compile` takes the mean over the batch.

    Args:
        y_true: rows of zeros and ones, `b n`.
        y_pred: lengths of the class capsules, `b n`.

    Differs from CapsNet-Keras:
        Its function also takes the mean, which `keras.ops.mean` of this result equals; here sample weights are
        supported.
    """
    lengths = _widen(y_pred)
    targets = ops.cast(y_true, lengths.dtype)
    present = targets * ops.square(ops.maximum(0.9 - lengths, 0.0))
    absent = 0.5 * (1.0 - targets) * ops.square(ops.maximum(lengths - 0.1, 0.0))
    return ops.sum(present + absent, axis=-1)


@keras.saving.register_keras_serializable("capsnet")
class Squash(keras.layers.Layer):
    """`squash` over the last axis, as a layer: a Lambda layer could not be saved safely."""

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """Shorten vectors."""
        return squash(inputs)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The shape of the inputs."""
        return tuple(input_shape)


@keras.saving.register_keras_serializable("capsnet")
class Length(keras.layers.Layer):
    """The length of each capsule, `b n d` to `b n`: sqrt(sum of squares + 1e-7)."""

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """Measure capsules."""
        return ops.cast(ops.sqrt(ops.sum(ops.square(_widen(inputs)), axis=-1) + EPSILON), inputs.dtype)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The shape of the inputs without their last axis."""
        return tuple(input_shape[:-1])


@keras.saving.register_keras_serializable("capsnet")
class Mask(keras.layers.Layer):
    """Sets all capsules but one to zero and flattens them, `b n d` to `b n*d`.

    `Mask()(capsules)` keeps the longest capsule, `Mask()([capsules, y])` the one that the one-hot row `y` selects.
    """

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """Mask capsules."""
        if isinstance(inputs, list | tuple):
            capsules, mask = inputs
        else:
            capsules = inputs
            longest = ops.argmax(ops.sum(ops.square(_widen(capsules)), axis=-1), axis=1)
            mask = ops.one_hot(longest, capsules.shape[1])
        masked = capsules * ops.cast(ops.expand_dims(mask, -1), capsules.dtype)
        return ops.reshape(masked, (-1, capsules.shape[1] * capsules.shape[2]))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, int]:
        """Batch, and the entries of all capsules."""
        batch, count, size = input_shape[0] if isinstance(input_shape[0], list | tuple) else input_shape
        return batch, count * size


@keras.saving.register_keras_serializable("capsnet")
class CapsuleLayer(keras.layers.Layer):
    """A capsule layer with dynamic routing (Procedure 1): each child votes for each parent, `b i c` to `b j d`.

    Votes and routing are computed in the type of `W`, float32 under mixed precision too: agreement is a sum over many
    children.

    Args:
        num_capsule: number of parents `j`.
        dim_capsule: dimension `d` of a parent's pose.
        routings: routing iterations, at least 1.
        kernel_initializer: initializer of the matrices `W`, `j i d c`.
    """

    def __init__(
        self,
        num_capsule: int,
        dim_capsule: int,
        routings: int = 3,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        # under mixed precision Keras would round inputs and W to half precision first
        super().__init__(**{"autocast": False, **kwargs})
        if routings < 1:
            raise ValueError(f"routings must be at least 1, got {routings}")
        self.num_capsule, self.dim_capsule, self.routings = num_capsule, dim_capsule, routings
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the matrices."""
        if len(input_shape) != 3:
            raise ValueError(f"inputs must be batch, capsules and their dimension, got {tuple(input_shape)}")
        self.W = self.add_weight(
            shape=(self.num_capsule, input_shape[1], self.dim_capsule, input_shape[2]),
            initializer=self.kernel_initializer,
            name="W",
        )
        self.built = True

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """Compute the parents of capsules."""
        votes = ops.einsum("bic,jidc->bjid", ops.cast(inputs, self.W.dtype), self.W)
        logits = ops.zeros_like(votes[..., 0])  # b j i
        for step in range(self.routings):
            coupling = ops.softmax(logits, axis=1)
            poses = squash(ops.einsum("bji,bjid->bjd", coupling, votes))
            if step < self.routings - 1:
                logits = logits + ops.einsum("bjid,bjd->bji", votes, poses)
        return ops.cast(poses, self.compute_dtype)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, int, int]:
        """Batch, parents and the dimension of their poses."""
        return input_shape[0], self.num_capsule, self.dim_capsule

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        own = {
            "num_capsule": self.num_capsule,
            "dim_capsule": self.dim_capsule,
            "routings": self.routings,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
        return {**super().get_config(), **own}


def PrimaryCap(
    inputs: KerasTensor,
    dim_capsule: int,
    n_channels: int,
    kernel_size: int | tuple[int, int],
    strides: int | tuple[int, int],
    padding: str,
) -> KerasTensor:
    """Primary capsules: one convolution; each group of `dim_capsule` channels is a pose, and is squashed.

    Args:
        inputs: feature maps `b h w channels`.
        dim_capsule: dimension of a capsule.
        n_channels: types of capsule at each position.
        kernel_size: side of the convolution's window.
        strides: stride of the convolution.
        padding: `"valid"` or `"same"`.

    Returns:
        Capsules `b i c`, in the order row, column, type.
    """
    maps = keras.layers.Conv2D(
        dim_capsule * n_channels, kernel_size, strides=strides, padding=padding, name="primarycap_conv2d"
    )(inputs)
    capsules = keras.layers.Reshape((-1, dim_capsule), name="primarycap_reshape")(maps)
    return Squash(name="primarycap_squash")(capsules)


def _widen(values: KerasTensor) -> KerasTensor:
    """Convert half precision to float32; keep other dtypes."""
    half = keras.backend.standardize_dtype(values.dtype) in ("float16", "bfloat16")
    return ops.cast(values, "float32") if half else values
