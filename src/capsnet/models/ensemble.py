"""Several networks together: the lengths of their class capsules are added.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 7 and released code: seven networks
for CIFAR-10.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.errors import UserError


class Ensemble(nn.Module):
    """Networks for the same images and classes, asked together.

    The length of a class is the mean over the networks, which has its longest capsule where the sum has it and keeps
    to the margins of the loss. Poses are laid beside each other, so that a class has the dimensions of all; there is
    neither coupling nor decoder.

    Args:
        members: networks with `input_shape` and `class_names`; each may prepare its images, but all the same way.

    Shapes:
        images as those of a member; lengths `b n`, poses `b n d` with d summed over the members.

    Raises:
        UserError: no members, or members for different images or classes.

    Example:
        >>> together = Ensemble([capsnet.load(f"runs/cifar10-{k}") for k in range(7)])
        >>> capsnet.evaluate(together, "cifar10").error_percent
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise UserError("an ensemble needs at least one network, got none")
        first = members[0]
        for name, words in _SHARED.items():
            values = [getattr(member, name, None) for member in members]
            for number, value in enumerate(values):
                if value != values[0]:
                    raise UserError(
                        f"the networks of an ensemble must agree on {words}: the first has {values[0]}, "
                        f"number {number + 1} has {value}"
                    )
            setattr(self, name, values[0])
        self.data = getattr(first, "data", None)
        self.members = nn.ModuleList(members)

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Find the class capsules of images."""
        outputs: list[CapsNetOutput] = [member(images) for member in self.members]
        lengths = torch.stack([output.lengths for output in outputs]).mean(dim=0)
        poses = torch.cat([output.capsules.poses for output in outputs], dim=2)
        return CapsNetOutput(Capsules(poses, lengths), lengths, None)


_SHARED = {
    "input_shape": "the size of their inputs",
    "class_names": "their classes",
    "inputs": "how images become inputs",
    "pairing": "how pairs are made",
    "preparation": "how image files are prepared",
}
