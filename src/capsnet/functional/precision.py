"""Half precision is a storage format here: sums over many children need more bits."""

from jaxtyping import Float
from torch import Tensor, bfloat16, float16


def widen(x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return `x` in float32 where it is in half precision, and as it is otherwise."""
    return x.float() if x.dtype in (float16, bfloat16) else x
