"""Write your own routing: one class, which any capsule layer or model then takes by its name.

Run it: python examples/write_a_routing.py
"""

import torch
from torch import Tensor, nn

from capsnet import create_model
from capsnet.capsules import RoutingOutput
from capsnet.functional import Windows, squash
from capsnet.routing import ROUTINGS, Routing


@ROUTINGS.add("cosine")
class CosineRouting(Routing):
    """Send each child to the parents whose mean vote points where its own does; one step."""

    def __init__(
        self,
        num_children: int,
        num_parents: int,
        *,
        parent_dim: int,
        sharpness: float = 4.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_children, num_parents, parent_dim=parent_dim)
        self.sharpness = sharpness

    def forward(
        self,
        votes: Tensor,
        activations: Tensor | None = None,
        *,
        poses: Tensor | None = None,
        windows: Windows | None = None,
    ) -> RoutingOutput:
        mean = votes.mean(dim=1, keepdim=True)  # b 1 j d
        cosine = nn.functional.cosine_similarity(votes, mean, dim=-1, eps=1e-4)  # b i j
        coupling = (self.sharpness * cosine).softmax(dim=-1)
        poses = squash(torch.einsum("bij,bijd->bjd", coupling, votes))
        return RoutingOutput(poses=poses, activations=poses.norm(dim=-1), coupling=coupling)


def main() -> None:
    """Use it like any other routing: in a model, by its name."""
    model = create_model("capsnet-tiny", routing="cosine", routing_options={"sharpness": 2.0})
    output = model(torch.rand(2, 1, 28, 28))
    print(f"lengths of {output.lengths.shape[1]} class capsules: {output.lengths[0].tolist()}")


if __name__ == "__main__":
    main()
