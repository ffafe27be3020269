"""Routing whose votes come from a 3D convolution over capsule maps.

Rajasegaran et al., "DeepCaps: Going Deeper with Capsule Networks", CVPR 2019, section 3.2 (3D convolution based dynamic
routing), and the authors' code.
"""

from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.bounds import check_iterations
from capsnet.capsules import Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import squash, to_capsules, to_maps
from capsnet.functional.precision import without_autocast
from capsnet.layers.dense import check_odd, check_sizes
from capsnet.renamed import renamed


def volume_routing(
    votes: Float[Tensor, "b i j d h w"], iterations: int = 3, *, bias: Float[Tensor, "j d"] | None = None
) -> Float[Tensor, "b j d h w"]:
    r"""Routing by agreement in which parents of all types and positions compete for a child type.

    A child type i has one vote for each parent type j at each place p. From logits $b_{ijp} = 0$, repeat:
    $c_{ijp} = \mathrm{softmax}_{jp}(b_{ijp})$, over parents **and places**;
    $s_{jp} = \sum_i c_{ijp} \hat u_{jp|i} + \beta_j$; $v_j = \mathrm{squash}(s_j)$, where the norm of a parent type
    is that of its whole map, over d and p; $b_{ijp} \mathrel{+}= \hat u_{jp|i} \cdot v_{jp}$.

    Args:
        votes: of each child type, for each parent type at each place.
        iterations: the paper's r; coupling is uniform in the first.
        bias: added before each squash, one for all places.

    Shapes:
        votes `b i j d h w`, bias `j d`; result `b j d h w`.

    Raises:
        UserError: fewer than one iteration.

    Example:
        >>> volume_routing(torch.randn(2, 32, 32, 8, 4, 4)).shape
        torch.Size([2, 32, 8, 4, 4])
    """
    check_iterations(iterations)
    logits = torch.zeros_like(votes[:, :, :, 0])  # b i j h w
    # the logits are not updated after the last step: they would not be used
    for step in range(iterations):
        coupling = logits.flatten(2).softmax(dim=2).reshape(logits.shape)
        total = torch.einsum("bijhw,bijdhw->bjdhw", coupling, votes)
        if bias is not None:
            total = total + bias[:, :, None, None]
        parents = squash(total.flatten(2)).reshape(total.shape)
        if step < iterations - 1:
            logits = logits + torch.einsum("bijdhw,bjdhw->bijhw", votes, parents)
    return parents


@renamed(child_types="num_child_types", parent_types="num_parent_types")
class VolumeCapsules(nn.Module):
    """Votes by one 3D convolution for all types of child, then `volume_routing`.

    The window of the convolution is `kernel_size` wide in both directions of the image and as deep as a capsule,
    with an equal stride in depth: it covers one child type at a time, all with the same weights.

    Args:
        num_child_types: types of child capsule at each position.
        num_parent_types: types of parent capsule at each position.
        child_dim: dimension of a child.
        parent_dim: dimension of a parent.
        kernel_size: side of the window, odd; the maps are padded.
        iterations: the paper's r.

    Shapes:
        children `b (h w num_child_types) c` with a grid; poses `b (h w num_parent_types) d`, activations (the
        lengths) and grid likewise; coupling is None, because it extends over positions.

    Raises:
        UserError: a size below 1, an even `kernel_size`, fewer than one iteration, or children without a grid or of
            another number.

    Differs from the paper:
        The authors' code reshapes rows, columns and channels of its input into channels, rows and columns, where a
        transpose is meant: there the convolution runs over mixed places and types. Here each type is a map.
    """

    def __init__(
        self,
        num_child_types: int,
        num_parent_types: int,
        *,
        child_dim: int = 8,
        parent_dim: int = 8,
        kernel_size: int = 3,
        iterations: int = 3,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(num_child_types=num_child_types, num_parent_types=num_parent_types)
        check_sizes(child_dim=child_dim, parent_dim=parent_dim, kernel_size=kernel_size, iterations=iterations)
        check_odd(kernel_size)
        self.num_child_types, self.child_dim, self.iterations = num_child_types, child_dim, iterations
        size = (num_parent_types, parent_dim, child_dim, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(size, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(num_parent_types, parent_dim, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He's normal initialisation, and a bias of 0.1, as in the authors' code."""
        inputs = self.weight[0, 0].numel()
        std = sqrt(2 / inputs)
        nn.init.trunc_normal_(self.weight, std=std / _CUT, a=-2 * std / _CUT, b=2 * std / _CUT)
        nn.init.constant_(self.bias, 0.1)

    def votes(self, children: Capsules | RoutingOutput) -> Float[Tensor, "b i j d h w"]:
        """The vote of each child type for each parent type at each position."""
        maps = to_maps(children)
        if maps.shape[1] != self.num_child_types * self.child_dim:
            expected, got = self.num_child_types * self.child_dim, maps.shape[1]
            raise UserError(f"children must have {expected} numbers at each place, got {got}")
        samples, _, rows, columns = maps.shape
        each = maps.reshape(-1, self.child_dim, rows, columns)  # (b i) c h w
        votes = nn.functional.conv2d(each, self.weight.flatten(0, 1), padding=self.weight.shape[3] // 2)
        return votes.reshape(samples, self.num_child_types, *self.weight.shape[:2], rows, columns)

    def forward(self, children: Capsules | RoutingOutput) -> RoutingOutput:
        """Compute the parents at every position."""
        votes = self.votes(children)
        with without_autocast(votes.device):
            parents = volume_routing(votes.to(self.bias.dtype), self.iterations, bias=self.bias)
            poses, activations, grid, _ = to_capsules(parents.flatten(1, 2), parents.shape[2])
            return RoutingOutput(poses, activations, None, grid)

    def extra_repr(self) -> str:
        sizes = f"{self.num_child_types} x {self.child_dim}D, weight {tuple(self.weight.shape)}"
        return f"{sizes}, iterations={self.iterations}"


# standard deviation of a standard normal cut at two
_CUT = 0.87962566103423978
