"""How a batch is made of stored images: varied single images, or pairs of them.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 5 to 7.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.data import ImageData
from capsnet.data.augment import draw_shifts
from capsnet.data.inputs import Augmentation, Draws, Inputs
from capsnet.data.pairs import Pairing, draw_partners, make_pairs


class Batch(NamedTuple):
    """What a step learns from.

    Args:
        inputs: what the model sees.
        labels: the class of each image, or the two of each pair.
        targets: what reconstructions should be, in [0, 1]: the image, or each of the pair alone.

    Shapes:
        inputs `b c h w`; labels `b` or `b 2`; targets `b c h w` or `b 2 c h w`.
    """

    inputs: Float[Tensor, "b c h w"]
    labels: Int[Tensor, " b"] | Int[Tensor, "b 2"]
    targets: Float[Tensor, "b c h w"] | Float[Tensor, "b 2 c h w"]


class Batches:
    """Training images, and how batches are made of them.

    Args:
        data: on the device that trains.
        inputs: how an image becomes an input.
        augmentation: how it is varied; of pairs, only the shift is used, one for each of the two.
        pairing: makes pairs, padded as it says; None: single images.
    """

    def __init__(
        self, data: ImageData, inputs: Inputs, augmentation: Augmentation, pairing: Pairing | None = None
    ) -> None:
        self.data, self.inputs, self.augmentation, self.pairing = data, inputs, augmentation, pairing

    def __len__(self) -> int:
        return len(self.data)

    def plan_epoch(self, seed: int, epoch: int) -> tuple[Int[Tensor, " m"], Draws]:
        """Draw the order of the images and the random numbers of each, from the seed and the epoch's number alone.

        Shapes:
            order `m`; draws `m` or `m 2` each, in that order.
        """
        device, count = self.data.images.device, len(self.data)
        generator = torch.Generator(device).manual_seed(seed * 1_000_003 + epoch)
        order = torch.randperm(count, generator=generator, device=device)
        if self.pairing is None:
            return order, self.augmentation.draw(count, self.inputs, generator)
        shift, partner_shift = (draw_shifts(count, self.augmentation.shift, generator) for _ in range(2))
        partner = draw_partners(self.data.labels[order], self.data.labels, generator)
        return order, {"shift": shift, "partner_shift": partner_shift, "partner": partner}

    def make(self, indices: Int[Tensor, " b"], draws: Draws) -> Batch:
        """The batch of the images at `indices`, varied by their random numbers.

        Shapes:
            indices `b`, draws `b` or `b 2` each.
        """
        images, labels = self.data.images[indices], self.data.labels[indices]
        if self.pairing is not None:
            partners = draws["partner"]
            both = torch.stack([labels, self.data.labels[partners]], dim=1)
            shifts = torch.stack([draws["shift"], draws["partner_shift"]], dim=1)
            pairs = make_pairs(images, self.data.images[partners], both, shifts, self.pairing.padding)
            return Batch(self.inputs(pairs.images), both, pairs.singles.float() / 255)
        pixels = self.augmentation.vary(images, draws, self.inputs)
        inputs = self.inputs.normalize(pixels)
        return Batch(inputs, labels, (pixels / 255).clamp(0, 1) if self.inputs.standardize else inputs)


def take(draws: Draws, part: slice) -> Draws:
    """The random numbers of some of the images."""
    return {name: numbers[part] for name, numbers in draws.items()}
