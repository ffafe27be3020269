"""The optimiser: Adam, or stochastic gradient descent with momentum."""

import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from capsnet.runs.sections import OptimizerConfig


def make_optimizer(model: nn.Module, config: OptimizerConfig, device: torch.device) -> Optimizer:
    """Make the optimiser of a run.

    Weight decay is an L2 penalty on all parameters; with Adam, it is part of the gradient (not decoupled as in AdamW).

    Args:
        model: on `device`.
        config: the section `optimizer` of the run's configuration.
        device: on a GPU the learning rate is a tensor, which a captured step reads on each replay.
    """
    on_gpu = device.type == "cuda"
    learning_rate = torch.tensor(config.lr, device=device) if on_gpu else config.lr
    if config.name == "sgd":
        return SGD(
            model.parameters(), lr=learning_rate, momentum=config.momentum, weight_decay=config.weight_decay, fused=True
        )
    return Adam(model.parameters(), lr=learning_rate, weight_decay=config.weight_decay, fused=True, capturable=on_gpu)
