"""Base of EM and variational Bayes routing: parents are Gaussians, fitted to votes in a few iterations."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Literal, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from capsnet.bounds import check_numbers
from capsnet.capsules import Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.functional import Windows, widen
from capsnet.routing.base import BOUNDS, Routing, check_mask, find_fused
from capsnet.routing.parents import clear_missing
from capsnet.torch_internals import in_transform

R = TypeVar("R")
Competition = Literal["layer", "window"]

# of `torch.nn.functional.batch_norm`
_EPS = 1e-5


class GaussianRouting(Routing):
    """Base of routings that fit Gaussians to votes; it holds β_u and β_a of each parent.

    Args:
        num_children: number of children.
        num_parents: number of parents.
        parent_dim: dimension of a parent's pose.
        iterations: of the algorithm.
        competition: in a convolutional layer, between all parents of the `"layer"` that receive from a child, or
            between those of one `"window"`.
        recompute: activation checkpointing: less memory in training, each iteration is computed twice.
        batch_norm: normalise poses, and the logits of the activations before their sigmoid, over the batch.
        beta_use: initial β_u.
        beta_activate: initial β_a.

    Raises:
        UserError: fewer than one iteration, an unknown option, or a number out of bounds.
    """

    algorithm: ClassVar[Callable[..., RoutingOutput]]
    """The plain function."""
    kernel: ClassVar[str]
    """Its name in `capsnet.kernels.infer_mixture`."""
    limits_parents = True
    activation_word = "activation"
    iterations: int

    def __init__(
        self,
        num_children: int | None,
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
        check_numbers(BOUNDS, iterations=iterations, beta_use=beta_use, beta_activate=beta_activate)
        if competition not in ("layer", "window"):
            raise UserError(f"competition must be 'layer' or 'window', got {competition!r}")
        self.iterations, self.competition, self.recompute = iterations, competition, recompute
        self.beta_use = nn.Parameter(torch.full((num_parents,), float(beta_use), device=device, dtype=dtype))
        self.beta_activate = nn.Parameter(torch.full((num_parents,), float(beta_activate), device=device, dtype=dtype))
        self.norms = nn.ModuleList(BatchNorm(num_parents, device, dtype) for _ in range(2)) if batch_norm else None

    @abstractmethod
    def options(self) -> Mapping[str, object]:
        """The algorithm's own options, as the kernel takes them."""

    def forward(
        self,
        votes: Float[Tensor, "b i j d"],
        activations: Float[Tensor, "b i"] | None = None,
        *,
        poses: Float[Tensor, "b i c"] | None = None,
        windows: Windows | None = None,
        parent_mask: Bool[Tensor, "b j"] | None = None,
    ) -> RoutingOutput:
        """Route votes; without activations every child counts the same."""
        return self.algorithm(
            votes,
            votes.new_ones(votes.shape[:2]) if activations is None else activations,
            self.beta_use,
            self.beta_activate,
            **self.options(),
            windows=self.competing(windows),
            recompute=self.recompute,
            norms=self.norms,
            parent_mask=parent_mask,
        )

    def route_children(
        self,
        children: Capsules,
        weight: Float[Tensor, "i c j d"],
        *,
        offsets: Float[Tensor, "p i 1 rd"] | None = None,
        windows: Windows | None = None,
    ) -> RoutingOutput:
        """Route children from their poses; if the kernel supports the call, votes are never stored."""
        if children.mask is not None:
            if self.norms is None or not self.training or offsets is not None or windows is not None:
                return super().route_children(children, weight, offsets=offsets, windows=windows)
            # samples that are all padding must not enter the statistics of the batch
            check_mask(children.mask, children.activations.shape, "activations")
            some = children.mask.any(dim=1, keepdim=True).expand(-1, weight.shape[2])
            return self.route_children_to(children, weight, some)._replace(mask=None)
        betas = (widen(self.beta_use), widen(self.beta_activate))
        arguments = (self.kernel, children, weight, betas, self.options())
        places = len(windows.children) if windows is not None else 1 if offsets is None else len(offsets)
        layout = {"offsets": offsets, "places": places, "windows": self.competing(windows)}
        fused = find_fused("infer_mixture", *arguments, **layout)
        if fused is None:
            return super().route_children(children, weight, offsets=offsets, windows=windows)
        return finish(*fused(*arguments, **layout), norms=self.norms, dtype=weight.dtype)

    def competing(self, windows: Windows | None) -> Windows | None:
        """The windows whose parents compete with one another; None if they do not."""
        return windows if self.competition == "layer" else None

    def extra_repr(self) -> str:
        return f"iterations={self.iterations}, batch_norm={self.norms is not None}, competition={self.competition!r}"


def beta_or_zeros(beta: Float[Tensor, " j"] | None, votes: Float[Tensor, "b i j d"]) -> Float[Tensor, " j"]:
    """β of each parent, in at least float32; None: zeros, where the modules start."""
    return votes.new_zeros(votes.shape[2]) if beta is None else widen(beta)


def finish(
    poses: Float[Tensor, "b j d"],
    logits: Float[Tensor, "b j"],
    coupling: Float[Tensor, "b i j"],
    *,
    norms: Iterable[nn.Module] | None,
    dtype: torch.dtype,
    parent_mask: Bool[Tensor, "b j"] | None = None,
) -> RoutingOutput:
    """Normalise poses and logits of the activations, if `norms` are given, and activate; all in the type `dtype`."""
    if norms is not None:
        poses, logits = (norm(x, parent_mask) for norm, x in zip(norms, (poses, logits), strict=True))
    output = RoutingOutput(poses.to(dtype), logits.sigmoid().to(dtype), coupling.to(dtype))
    return clear_missing(output, parent_mask)


def maybe_checkpoint(function: Callable[..., R], *arguments: object, recompute: bool) -> R:
    """Run `function`, with activation checkpointing if `recompute`; in a transform of torch.func always without."""
    # the transforms of torch.func do not support it
    if not recompute or in_transform():
        return function(*arguments)
    result: R = checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)
    return result


class BatchNorm(nn.Module):
    """Batch normalisation of each parent without gain and bias, in float32 at least, for a batch of one too."""

    mean: Tensor
    variance: Tensor

    def __init__(self, num_parents: int, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_parents, device=device, dtype=dtype))
        self.register_buffer("variance", torch.ones(num_parents, device=device, dtype=dtype))

    def forward(
        self, x: Float[Tensor, "b j *d"], parent_mask: Bool[Tensor, "b j"] | None = None
    ) -> Float[Tensor, "b j *d"]:
        if parent_mask is not None and self.training:
            return self._normalize_present(x, parent_mask)
        # a single value has no variance: use the running statistics
        if self.training and x.numel() > x.shape[1]:
            with torch.no_grad():
                axes = [axis for axis in range(x.ndim) if axis != 1]
                self.mean.lerp_(x.mean(dim=axes).to(self.mean.dtype), 0.1)
                self.variance.lerp_(x.var(dim=axes).to(self.mean.dtype), 0.1)
            return nn.functional.batch_norm(x, None, None, training=True)
        return nn.functional.batch_norm(x, self.mean.to(x.dtype), self.variance.to(x.dtype))

    def _normalize_present(
        self, x: Float[Tensor, "b j *d"], parent_mask: Bool[Tensor, "b j"]
    ) -> Float[Tensor, "b j *d"]:
        """Normalise each parent over the samples that have it."""
        axes = [axis for axis in range(x.ndim) if axis != 1]
        per_parent = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
        there = parent_mask.reshape(*parent_mask.shape, *[1] * (x.ndim - 2)).expand_as(x)
        number = there.sum(dim=axes)
        mean = x.masked_fill(~there, 0).sum(dim=axes) / number.clamp(min=1)
        squares = (x - mean.view(per_parent)).masked_fill(~there, 0).square().sum(dim=axes)
        variance = squares / number.clamp(min=1)
        # a single value has no variance: use the running statistics
        some = number > 1
        with torch.no_grad():
            unbiased = squares / (number - 1).clamp(min=1)
            for running, value in ((self.mean, mean), (self.variance, unbiased)):
                running.copy_(torch.where(some, running.lerp(value.to(running.dtype), 0.1), running))
        mean = torch.where(some, mean, self.mean.to(x.dtype))
        variance = torch.where(some, variance, self.variance.to(x.dtype))
        return (x - mean.view(per_parent)) * (variance.view(per_parent) + _EPS).rsqrt()
