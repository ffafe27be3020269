"""Validation of labels: invalid classes are errors, and shapes are never broadcast.

Values are checked on the CPU only, and not while a function is compiled or traced: on another device a check would
synchronise in every training step.
"""

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from capsnet.errors import UserError
from capsnet.torch_internals import in_transform, is_in_graph


def check_labels(labels: Shaped[Tensor, "*any"], samples: int, classes: int) -> Int[Tensor, " b"]:
    """Check class indices, one for each sample, and return them flattened.

    Args:
        labels: integers from 0; a column is flattened.
        samples: expected number of labels.
        classes: number of classes.

    Shapes:
        labels `b` or `b 1`, result `b`.

    Raises:
        UserError: another shape, values that are not integers, or a class that does not exist.
    """
    check_tensor(labels, "labels")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) != samples:
        raise UserError(
            f"labels must be {samples} class indices, one for each sample, got the shape {tuple(labels.shape)}"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise UserError(f"labels must be whole numbers, the class indices, got {labels.dtype}; use labels.long()")
    if can_read(labels) and len(labels):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            remedy = "; subtract 1, classes are counted from 0" if low == 1 and high == classes else ""
            raise UserError(
                f"labels must be from 0 to {classes - 1} for {classes} classes, got {low} to {high}{remedy}"
            )
    return labels.long()


def one_hot(labels: Int[Tensor, "*any"], classes: int) -> Int[Tensor, "*any n"]:
    """`torch.nn.functional.one_hot`, which `torch.func`'s transforms do not support, in them too."""
    if in_transform():
        return (labels[..., None] == torch.arange(classes, device=labels.device)).long()
    return torch.nn.functional.one_hot(labels, classes)


def check_tensor(values: object, name: str) -> None:
    """Check that an argument is a tensor.

    Args:
        values: the argument.
        name: the argument's name, for the message.

    Raises:
        UserError: it is not a tensor.
    """
    if not isinstance(values, Tensor):
        raise UserError(f"{name} must be a tensor, got {type(values).__name__}; use torch.as_tensor({name})")


def check_marks(marks: Shaped[Tensor, "b n"]) -> None:
    """Check rows that mark present classes with 1 and others with 0.

    Raises:
        UserError: other numbers than 0 and 1.
    """
    if can_read(marks) and not ((marks == 0) | (marks == 1)).all():
        raise UserError(
            "targets with a row for each sample must be 1 for each class that is there, else 0, got other numbers"
        )


def can_read(values: Tensor) -> bool:
    """Whether values exist, outside `torch.func`'s transforms, and reading them is free."""
    return values.device.type == "cpu" and not is_in_graph() and not in_transform()
