"""Make batches from stored images: augmented single images, or pairs of them.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 5 to 7.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.capsules import CapsNetOutput
from capsnet.data import ImageData
from capsnet.data.inputs import Inputs
from capsnet.data.pairs import Pairing, draw_partners, make_pairs
from capsnet.data.stored import StoredImages
from capsnet.data.transforms import Augmentation, Draws, Shift, Transform
from capsnet.errors import UserError
from capsnet.models import CapsuleModel
from capsnet.training.read_ahead import ReadAhead


class Batch(NamedTuple):
    """The images and targets of a step.

    Args:
        inputs: of the model.
        labels: the class of each image, or the two of each pair.
        targets: of the reconstruction, in [0, 1]: the image, or each image of the pair alone.
        features: of the inputs by the model's frozen first part; None: the model computes them.

    Shapes:
        inputs `b c h w`; labels `b` or `b 2`; targets `b c h w` or `b 2 c h w`; features `b ...`.
    """

    inputs: Float[Tensor, "b c h w"]
    labels: Int[Tensor, " b"] | Int[Tensor, "b 2"]
    targets: Float[Tensor, "b c h w"] | Float[Tensor, "b 2 c h w"]
    features: Float[Tensor, "b ..."] | None = None

    def run(self, model: CapsuleModel) -> CapsNetOutput:
        """The model's output."""
        return model(self.inputs) if self.features is None else model.classify(self.features)


class Batches:
    """Makes batches from training images.

    Args:
        data: on the training device.
        inputs: how an image becomes an input.
        augmentation: an `Augmentation`, or a list of transforms of whole stored images; pairs can only be shifted by
            whole pixels, each image of a pair separately.
        pairing: makes pairs and pads them; None: single images.
        balance: sample all classes equally often. The length of an epoch stays the same; it repeats images of small
            classes and skips some of large ones, different ones in each epoch.

    Raises:
        UserError: balance with pairs, or a transform that is not available for pairs.

    Example:
        >>> Batches(data, Inputs(data.image_shape), [Shift(2), Rotate(15)])
    """

    def __init__(
        self,
        data: ImageData,
        inputs: Inputs,
        augmentation: Augmentation | Sequence[Transform],
        pairing: Pairing | None = None,
        *,
        balance: bool = False,
    ) -> None:
        if balance and pairing is not None:
            raise UserError("balance is for single images; the partners of pairs are drawn from all classes")
        if not isinstance(augmentation, Augmentation):
            augmentation = Augmentation(tuple(augmentation))
        self.data, self.inputs, self.augmentation, self.pairing = data, inputs, augmentation, pairing
        self.balance = balance
        self._ahead: ReadAhead | None = None
        self._pair_shift = pair_shift(augmentation) if pairing is not None else Shift(0)

    def __len__(self) -> int:
        return len(self.data)

    def plan_epoch(self, seed: int, epoch: int) -> tuple[Int[Tensor, " m"], Draws]:
        """Draw the order of the images and their random numbers from the seed and the epoch's number.

        Shapes:
            order `m`; draws `m ...` each, in the same order.
        """
        device, count = self.data.images.device, len(self.data)
        generator = torch.Generator(device).manual_seed(seed * 1_000_003 + epoch)
        if self.balance:
            order = balanced_order(self.data.labels, epoch, generator)
        else:
            order = torch.randperm(count, generator=generator, device=device)
        if self.pairing is None:
            return order, self.augmentation.draw(count, self.inputs, generator)
        shape = self.inputs.image_shape
        shift, partner_shift = (self._pair_shift.draw(count, generator, shape) for _ in range(2))
        partner = draw_partners(self.data.labels[order], self.data.labels, generator)
        return order, {"shift": shift, "partner_shift": partner_shift, "partner": partner}

    def read_ahead(self, order: Int[Tensor, " m"], parts: Iterable[slice]) -> None:
        """Start reading images from shards before they are needed.

        Args:
            order: order of the epoch's images.
            parts: the positions in `order` of each batch that this process will make.
        """
        self.close()
        if isinstance(self.data.images, StoredImages):
            self._ahead = ReadAhead(self.data.images, order, parts)

    def close(self) -> None:
        """Stop reading ahead."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def _read(self, indices: Int[Tensor, " b"]) -> Tensor:
        return self.data.images[indices] if self._ahead is None else self._ahead.take(indices)

    def make(self, indices: Int[Tensor, " b"], draws: Draws) -> Batch:
        """The batch of the images at `indices`, augmented with their random numbers.

        Shapes:
            indices `b`, draws `b ...` each.
        """
        images, labels = self._read(indices), self.data.labels[indices]
        if self.pairing is not None:
            partners = draws["partner"]
            both = torch.stack([labels, self.data.labels[partners]], dim=1)
            shifts = torch.stack([draws["shift"], draws["partner_shift"]], dim=1)
            pairs = make_pairs(images, self.data.images[partners], both, shifts, self.pairing.padding)
            return Batch(self.inputs(pairs.images), both, pairs.singles.float() / 255)
        pixels = self.augmentation.vary(images, draws, self.inputs)
        inputs = self.inputs.normalize(pixels)
        # brightness and contrast leave [0, 1], the decoder cannot
        targets = (pixels / 255).clamp(0, 1)
        features = None if self.data.features is None else self.data.features.read(indices)
        return Batch(inputs, labels, targets, features)


def pair_shift(augmentation: Augmentation) -> Shift:
    """The shift of each digit of a pair, the only transform for pairs; by 0 pixels if there is no augmentation.

    Raises:
        UserError: the augmentation has other transforms.
    """
    shifts = [shift for shift in augmentation.stored if isinstance(shift, Shift)]
    if len(shifts) > 1 or augmentation != Augmentation(tuple(shifts)) or any(not shift.is_plain for shift in shifts):
        raise UserError(f"data that are pairs can be shifted by whole pixels only, got {augmentation}")
    return shifts[0] if shifts else Shift(0)


def balanced_order(labels: Int[Tensor, " m"], epoch: int, generator: torch.Generator) -> Int[Tensor, " m"]:
    """Sample the classes equally often, in random order; the result is as long as the labels.

    The images of a class are drawn without replacement until all are used, then again. If the number of images is not
    a multiple of the number of classes, some classes have one more image, different ones in each epoch.

    Args:
        labels: of the images; classes without images are skipped.
        epoch: its number.
        generator: on the device of the labels.

    Shapes:
        labels and result `m`.
    """
    classes, device = torch.bincount(labels).nonzero()[:, 0].tolist(), labels.device
    each, extra = divmod(len(labels), len(classes))
    drawn = []
    for position, label in enumerate(classes):
        members = (labels == label).nonzero()[:, 0]
        count = each + ((position - epoch * extra) % len(classes) < extra)
        rounds = [
            members[torch.randperm(len(members), generator=generator, device=device)]
            for _ in range(-(-count // len(members)))
        ]
        drawn.append(torch.cat([members[:0], *rounds])[:count])
    chosen = torch.cat(drawn)
    return chosen[torch.randperm(len(chosen), generator=generator, device=device)]


def take(draws: Draws, positions: slice) -> Draws:
    """The random numbers of the images at some positions."""
    return {name: numbers[positions] for name, numbers in draws.items()}
