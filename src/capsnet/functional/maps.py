"""Conversion between capsules, in the order row, column, type, and feature maps.

Capsule `(y * width + x) * num_types + t` holds channels `t * dim` to `(t + 1) * dim` of place `(y, x)`.
"""

from jaxtyping import Float
from torch import Tensor

from capsnet.capsules import Capsules, RoutingOutput, check_capsules
from capsnet.errors import UserError


def to_capsules(maps: Float[Tensor, "b td h w"], dim: int) -> Capsules:
    """Convert feature maps to capsules of `dim` neighbouring channels; the activation is the length of the pose.

    Shapes:
        maps `b (t dim) h w`; poses `b (h w t) dim`.

    Raises:
        UserError: a number of channels that is not a multiple of `dim`.
    """
    if maps.shape[1] % dim:
        raise UserError(f"maps must have a multiple of {dim} channels, got {maps.shape[1]}")
    # not -1: a batch may be empty
    poses = maps.permute(0, 2, 3, 1).unflatten(3, (maps.shape[1] // dim, dim)).flatten(1, 3)
    return Capsules(poses, poses.norm(dim=-1), (maps.shape[2], maps.shape[3]))


def to_maps(capsules: Capsules | RoutingOutput) -> Float[Tensor, "b td h w"]:
    """Convert the poses of capsules to feature maps.

    Shapes:
        poses `b (h w t) d`; result `b (t d) h w`, channels last in memory.

    Raises:
        UserError: capsules without a grid, or of a number that does not fit it.
    """
    check_capsules(capsules)
    if capsules.grid is None:
        raise UserError("capsules have no grid: give Capsules(poses, activations, grid=(rows, columns))")
    if capsules.mask is not None:
        raise UserError("capsules on a grid cannot have a mask; give all of its capsules")
    rows, columns = capsules.grid
    if capsules.poses.shape[1] % (rows * columns):
        raise UserError(f"capsules must be a multiple of {rows}x{columns} positions, got {capsules.poses.shape[1]}")
    samples, number, dim = capsules.poses.shape
    return capsules.poses.reshape(samples, rows, columns, number // (rows * columns) * dim).permute(0, 3, 1, 2)
