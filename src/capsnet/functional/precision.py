"""Computation in float32 at least: half precision is too coarse for sums over many children."""

from jaxtyping import Float
from torch import Tensor, bfloat16, float16


def widen(x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Convert half precision to float32; other dtypes are returned unchanged."""
    return x.float() if x.dtype in (float16, bfloat16) else x
