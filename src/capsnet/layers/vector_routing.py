"""A layer that routes vectors by Heinsen's algorithm, and never stores their votes.

Heinsen, "An Algorithm for Routing Vectors in Sequences", arXiv 2211.11754, 2022, Algorithm 2.
"""

from math import sqrt

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from capsnet.capsules import Capsules, RoutingOutput, check_capsules
from capsnet.errors import UserError
from capsnet.functional.precision import without_autocast
from capsnet.layers.dense import check_sizes
from capsnet.routing.base import clear_padding, drop_padding
from capsnet.routing.heinsen import HeinsenRouting, maximize_net_benefit, standardize
from capsnet.routing.parents import check_parent_mask, clear_missing


class VectorRouting(nn.Module):
    r"""Route input vectors to output vectors; memory grows with inputs times outputs, not times their dimension.

    An input's vote for output $j$ is $\hat u_{j|i} = W^{F2} (W^{F1}_j \odot x_i / \sqrt n) + B^{F2}_j$, with one matrix
    for all pairs, so that the sum over inputs is taken before the matrix product:

    $$v_j = W^{F2} \Big(W^{F1}_j \odot \sum_i \phi_{ij} x_i / \sqrt n\Big) + B^{F2}_j \sum_i \phi_{ij}$$

    Credit, coupling and $\phi$ are those of `HeinsenRouting`; the credit, too, is of $x_i / \sqrt n$.

    Args:
        num_inputs: number of inputs, `i`; None: any.
        num_outputs: number of outputs, `j`.
        input_dim: dimension of an input, `c`.
        output_dim: dimension of an output, `d`.
        iterations: the first is the uniform one.
        normalize: scale each output to mean 0 and variance 1, unless it is one number.

    Shapes:
        poses `b i c` and mask `b i`; poses `b j d`, activations `b j` (all 1), coupling `b i j`. Padding has no
        influence, and n counts the inputs that are there. A sample of nothing but padding has outputs of zero.

    Differs from the paper:
        A mask is of the inputs of a sample, not of pairs of input and output.

    Raises:
        UserError: a size below 1, or inputs of another number or dimension.

    Example:
        >>> layer = VectorRouting(None, 10, 32, 64)
        >>> layer(Capsules(torch.randn(2, 100, 32), torch.ones(2, 100))).poses.shape
        torch.Size([2, 10, 64])
    """

    def __init__(
        self,
        num_inputs: int | None,
        num_outputs: int,
        input_dim: int,
        output_dim: int,
        *,
        iterations: int = 2,
        normalize: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(num_inputs=num_inputs, num_outputs=num_outputs, input_dim=input_dim, output_dim=output_dim)
        self.num_inputs, self.num_outputs = num_inputs, num_outputs
        self.input_dim, self.normalize = input_dim, normalize
        self.routing = HeinsenRouting(
            num_inputs,
            num_outputs,
            child_dim=input_dim,
            parent_dim=output_dim,
            iterations=iterations,
            normalize="layer" if normalize else None,
            device=device,
            dtype=dtype,
        )
        self.vote_scale = nn.Parameter(torch.empty(num_outputs, input_dim, device=device, dtype=dtype))  # W_F1
        self.vote_weight = nn.Parameter(torch.empty(input_dim, output_dim, device=device, dtype=dtype))  # W_F2
        self.vote_bias = nn.Parameter(torch.empty(num_outputs, output_dim, device=device, dtype=dtype))  # B_F2
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As in the author's code: normal weights, and a bias of zero."""
        self.routing.reset_parameters()
        nn.init.normal_(self.vote_scale)
        nn.init.normal_(self.vote_weight, std=2 / sqrt(self.input_dim))
        nn.init.zeros_(self.vote_bias)

    def forward(
        self, inputs: Capsules | RoutingOutput, *, parent_mask: Bool[Tensor, "b j"] | None = None
    ) -> RoutingOutput:
        """Compute the outputs; the activations of `inputs` are not used.

        Args:
            inputs: input vectors.
            parent_mask: True for the outputs that a sample has; None: all. See `DenseCapsules.forward`.
        """
        check_capsules(inputs)
        expected = (inputs.poses.shape[1] if self.num_inputs is None else self.num_inputs, self.input_dim)
        if inputs.poses.shape[1:] != expected:
            raise UserError(f"inputs must be b x {expected}, got {tuple(inputs.poses.shape)}")
        if parent_mask is not None:
            check_parent_mask(parent_mask, len(inputs.poses), self.num_outputs)
        mask = inputs.mask
        poses = drop_padding(Capsules(inputs.poses, inputs.activations, mask=mask)).poses
        with without_autocast(poses.device):
            output = self._route(poses.to(self.vote_weight.dtype), mask, parent_mask)
        output = clear_missing(output, parent_mask)
        return output if mask is None else clear_padding(output, mask)

    def _route(
        self, poses: Float[Tensor, "b i c"], mask: Bool[Tensor, "b i"] | None, parent_mask: Bool[Tensor, "b j"] | None
    ) -> RoutingOutput:
        number: Tensor | float = float(max(poses.shape[1], 1))
        if mask is not None:
            number = mask.sum(dim=1).clamp(min=1)[:, None, None].to(poses.dtype)
        scaled = poses * number**-0.5
        credit = self.routing.credit(scaled)
        if mask is not None:
            # the bias of the votes is of every input: padding must not have a share in it
            credit = credit.masked_fill(~mask, 0)
        parents, coupling = maximize_net_benefit(
            lambda phi: self._combine(phi, scaled),
            credit,
            *self.routing.prices(poses),
            lambda parents: self.routing.similarity(poses, parents),
            self.routing.iterations,
            parent_mask=parent_mask,
        )
        parents = standardize(parents) if self.normalize else parents
        parents, coupling = parents.to(poses.dtype), coupling.to(poses.dtype)
        return RoutingOutput(parents, torch.ones_like(parents[..., 0]), coupling)

    def _combine(self, phi: Float[Tensor, "b i j"], scaled: Float[Tensor, "b i c"]) -> Float[Tensor, "b j d"]:
        """The sum over inputs of phi times votes, without the votes."""
        gathered = torch.einsum("bij,bic->bjc", phi, scaled.to(phi.dtype)) * self.vote_scale.to(phi.dtype)
        return gathered @ self.vote_weight.to(phi.dtype) + phi.sum(dim=1)[..., None] * self.vote_bias.to(phi.dtype)

    def extra_repr(self) -> str:
        return f"{self.num_inputs or 'any'} x {self.input_dim}D, normalize={self.normalize}"
