"""An ensemble of networks: the lengths of their class capsules are averaged.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 7 and released code: seven networks
for CIFAR-10.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.errors import UserError
from capsnet.layers import DenseCapsules
from capsnet.models.model import CapsuleModel


class Ensemble(CapsuleModel):
    """Networks for the same images and classes whose outputs are combined.

    A class's length is the mean over the networks: it predicts the same class as the paper's sum, and stays in the
    range of the margin loss. Poses are concatenated; there is neither coupling nor decoder.

    Args:
        members: trained networks with the same preprocessing.

    Shapes:
        images as those of a member; lengths `b n`, poses `b n d` with d summed over the members.

    Raises:
        UserError: no members, or members for different images or classes.

    Example:
        >>> ensemble = Ensemble([capsnet.load(f"runs/cifar10-{k}") for k in range(7)])
        >>> capsnet.evaluate(ensemble, "cifar10").error_percent
    """

    def __init__(self, members: Sequence[CapsuleModel]) -> None:
        if not members:
            raise UserError("an ensemble needs at least one network, got none")
        first = members[0]
        for words, read in _SHARED.items():
            values = [read(member) for member in members]
            for number, value in enumerate(values):
                if value != values[0]:
                    raise UserError(
                        f"the networks of an ensemble must agree on {words}: the first has {values[0]}, "
                        f"number {number + 1} has {value}"
                    )
        super().__init__(first.input_shape, len(first.class_names), pose_dim=sum(member.pose_dim for member in members))
        self.class_names, self.inputs, self.pairing = first.class_names, first.inputs, first.pairing
        self.preparation, self.data = first.preparation, first.data
        # the cross-entropy is of logits, which are not averaged
        if first.loss != "cross-entropy" and all(member.loss == first.loss for member in members):
            self.loss = first.loss
        self.members = nn.ModuleList(members)

    @property
    def class_layer(self) -> DenseCapsules | None:
        """None: each member has one."""
        return None

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Compute the class capsules of images."""
        outputs: list[CapsNetOutput] = [member(images) for member in self.members]
        lengths = torch.stack([output.lengths for output in outputs]).mean(dim=0)
        poses = torch.cat([output.capsules.poses for output in outputs], dim=2)
        return CapsNetOutput(Capsules(poses, lengths), lengths, None)


_SHARED: Mapping[str, Callable[[CapsuleModel], object]] = {
    "the size of their inputs": lambda model: model.input_shape,
    "their classes": lambda model: model.class_names,
    "how images become inputs": lambda model: model.inputs,
    "how pairs are made": lambda model: model.pairing,
    "how image files are prepared": lambda model: model.preparation,
}
