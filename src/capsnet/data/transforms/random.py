"""One random number for each image: uniform in a range, or normal and clipped to it."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.errors import UserError

Distribution = Literal["uniform", "normal"]
"""Distribution of random numbers over their range: uniform, or normal around its middle."""

# as shares of the half range, from the code of Efficient-CapsNet's authors
_DEVIATION, _LARGEST = 0.33, 0.9999


def draw_uniform(count: int, low: int | float, high: int | float, generator: torch.Generator) -> Float[Tensor, " m"]:
    """Draw a number from low to high for each image, on the generator's device.

    Shapes:
        result `count`.
    """
    return low + (high - low) * torch.rand(count, generator=generator, device=generator.device)


def draw_normal(count: int, most: int | float, generator: torch.Generator) -> Float[Tensor, " m"]:
    """Draw a number between -most and most for each image: normal with deviation 0.33 most, clipped at 0.9999 most.

    Mazzia, Salvetti, Chiaberge, "Efficient-CapsNet", 2021, released code, `utils/pre_process_mnist.py`.

    Shapes:
        result `count`.
    """
    numbers = torch.randn(count, generator=generator, device=generator.device)
    return (_DEVIATION * numbers).clamp(-_LARGEST, _LARGEST) * most


def check_distribution(distribution: str) -> None:
    """Refuse an unknown distribution.

    Raises:
        UserError: neither `"uniform"` nor `"normal"`.
    """
    check_choice("distribution", distribution, get_args(Distribution))


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not one of the choices.

    Raises:
        UserError: another value; the message lists the choices.
    """
    if value not in choices:
        raise UserError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
