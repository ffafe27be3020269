"""What changes the weights: Adam, or stochastic gradient descent with momentum."""

import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from capsnet.runs.sections import OptimizerConfig


def make_optimizer(model: nn.Module, config: OptimizerConfig, device: torch.device) -> Optimizer:
    """Make the optimiser of a run.

    Weight decay is the gradient of half of `weight_decay` times the sum of squares of all parameters; Adam divides it
    by the same root as the rest of the gradient.

    Args:
        model: on `device`.
        config: the run's section of it.
        device: on a GPU the rate is a tensor: a captured step reads it anew each time it is replayed.
    """
    on_gpu = device.type == "cuda"
    rate = torch.tensor(config.lr, device=device) if on_gpu else config.lr
    if config.name == "sgd":
        return SGD(model.parameters(), lr=rate, momentum=config.momentum, weight_decay=config.weight_decay, fused=True)
    return Adam(model.parameters(), lr=rate, weight_decay=config.weight_decay, fused=True, capturable=on_gpu)
