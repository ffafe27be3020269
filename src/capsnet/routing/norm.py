"""Batch normalisation of capsules. Ribeiro, Leontidis, Kollias, "Capsule Routing via Variational Bayes", AAAI 2020."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


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
