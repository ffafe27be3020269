"""What EM routing and variational Bayes routing share: parents are Gaussians over votes, found in a few iterations."""

from abc import abstractmethod
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import Infer, Windows, infer_mixture, vote_tensor, widen
from capsnet.routing.base import Routing, find_fused

Competition = Literal["layer", "window"]


class GaussianRouting(Routing):
    """Base of routings that fit Gaussians to votes; it holds β_u and β_a of each parent.

    Args:
        num_children: number of children.
        num_parents: number of parents.
        parent_dim: dimension of a parent's pose.
        iterations: of the fit.
        competition: in a convolutional layer, between all parents of the `"layer"` that receive from a child, or
            between those of one `"window"`.
        recompute: save memory in training, at the price of computing each iteration twice.
        batch_norm: normalise poses, and the logits of the activations before their sigmoid, over the batch.
        beta_use: where β_u starts.
        beta_activate: where β_a starts.

    Raises:
        UserError: fewer than one iteration, or an unknown option.
    """

    uses_windows = True

    def __init__(
        self,
        num_children: int,
        num_parents: int,
        *,
        parent_dim: int,
        iterations: int,
        competition: Competition,
        recompute: bool,
        batch_norm: bool,
        beta_use: float = 0.0,
        beta_activate: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(num_children, num_parents, parent_dim=parent_dim)
        check_iterations(iterations)
        if competition not in ("layer", "window"):
            raise UserError(f"competition must be 'layer' or 'window', got {competition!r}")
        self.iterations, self.competition, self.recompute = iterations, competition, recompute
        self.mixes_samples = batch_norm
        self.beta_use = nn.Parameter(torch.full((num_parents,), beta_use, device=device, dtype=dtype))
        self.beta_activate = nn.Parameter(torch.full((num_parents,), beta_activate, device=device, dtype=dtype))
        self.norms = nn.ModuleList(BatchNorm(num_parents, device, dtype) for _ in range(2)) if batch_norm else None

    @abstractmethod
    def infer(self, windows: Windows | None) -> Infer:
        """A function of votes, activations, β_u and β_a to poses, logits of the activations, and coupling."""

    def forward(
        self,
        votes: Float[Tensor, "b i j d"],
        activations: Float[Tensor, "b i"] | None = None,
        *,
        windows: Windows | None = None,
    ) -> RoutingOutput:
        """Route votes; without activations every child counts the same."""
        children = votes.new_ones(votes.shape[:2]) if activations is None else activations
        infer = self.infer(self._competing(windows))
        found = infer(vote_tensor(votes), widen(children), widen(self.beta_use), widen(self.beta_activate))
        return self._finish(found, votes.dtype)

    def route_children(
        self,
        children: Capsules,
        weight: Float[Tensor, "i c j d"],
        *,
        offsets: Float[Tensor, "p i 1 rd"] | None = None,
        windows: Windows | None = None,
    ) -> RoutingOutput:
        """Route children straight from their poses, without storing the votes where the fused kernel takes the call."""
        places = len(windows.children) if windows is not None else 1 if offsets is None else len(offsets)
        shared = [widen(self.beta_use), widen(self.beta_activate)]
        arguments = (self.infer(self._competing(windows)), children, weight, shared)
        fused = find_fused("infer_mixture", *arguments, offsets=offsets, places=places)
        return self._finish((fused or infer_mixture)(*arguments, offsets=offsets, places=places), weight.dtype)

    def _competing(self, windows: Windows | None) -> Windows | None:
        return windows if self.competition == "layer" else None

    def _finish(self, found: tuple[Tensor, ...], dtype: torch.dtype) -> RoutingOutput:
        poses, evidence, coupling = found
        if self.norms is not None:
            poses, evidence = self.norms[0](poses), self.norms[1](evidence)
        return RoutingOutput(*(x.to(dtype) for x in (poses, evidence.sigmoid(), coupling)))

    def extra_repr(self) -> str:
        return f"iterations={self.iterations}, batch_norm={self.norms is not None}, competition={self.competition!r}"


def check_iterations(iterations: int) -> None:
    """Refuse fewer than one iteration."""
    if iterations < 1:
        raise UserError(f"iterations must be at least 1, got {iterations}")


class BatchNorm(nn.Module):
    """Batch normalisation of each parent without gain and bias, in float32 at least, for a batch of one too."""

    mean: Tensor
    variance: Tensor

    def __init__(self, num_parents: int, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_parents, device=device, dtype=dtype))
        self.register_buffer("variance", torch.ones(num_parents, device=device, dtype=dtype))

    def forward(self, x: Float[Tensor, "b j *d"]) -> Float[Tensor, "b j *d"]:
        # one number has no variance: it is measured by those of the past
        if self.training and x.numel() > x.shape[1]:
            with torch.no_grad():
                axes = [axis for axis in range(x.ndim) if axis != 1]
                self.mean.lerp_(x.mean(dim=axes).to(self.mean.dtype), 0.1)
                self.variance.lerp_(x.var(dim=axes).to(self.mean.dtype), 0.1)
            return nn.functional.batch_norm(x, None, None, training=True)
        return nn.functional.batch_norm(x, self.mean.to(x.dtype), self.variance.to(x.dtype))
