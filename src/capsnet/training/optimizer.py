"""The optimiser: Adam, or stochastic gradient descent with momentum."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from capsnet.errors import UserError
from capsnet.models import CapsuleModel
from capsnet.runs.sections import OptimizerConfig


def make_optimizer(model: CapsuleModel, config: OptimizerConfig, device: torch.device) -> Optimizer:
    """Make the optimiser of a run.

    Weight decay is an L2 penalty on all parameters; with Adam, it is part of the gradient (not decoupled as in AdamW).

    Args:
        model: on `device`; a backbone that is tuned learns at `backbone_lr` times the rate.
        config: the section `optimizer` of the run's configuration.
        device: on a GPU the learning rate is a tensor, which a captured step reads on each replay.
    """
    on_gpu, decay = device.type == "cuda", config.weight_decay
    groups = [
        {"params": parameters, "share": share, "lr": torch.tensor(config.lr, device=device) if on_gpu else config.lr}
        for parameters, share in _groups(model, config.backbone_lr)
    ]
    set_learning_rate(groups, config.lr)
    if config.name == "sgd":
        return SGD(groups, lr=config.lr, momentum=config.momentum, weight_decay=decay, fused=True)
    return Adam(groups, lr=config.lr, weight_decay=decay, fused=True, capturable=on_gpu)


def set_learning_rate(groups: Sequence[dict[str, Any]], learning_rate: float) -> None:
    """Set the learning rate of each group of parameters, times the group's share."""
    for group in groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(learning_rate * group["share"])
        else:
            group["lr"] = learning_rate * group["share"]


def _groups(model: CapsuleModel, backbone_share: float) -> list[tuple[list[nn.Parameter], float]]:
    """Parameters in the order of the model, or those of the backbone after the others, each with its share of the rate.

    Raises:
        UserError: a share for a model without a backbone that is tuned.
    """
    if backbone_share == 1.0:
        return [(list(model.parameters()), 1.0)]
    backbone = model.backbone_parameters
    if not backbone:
        raise UserError(
            f"backbone_lr must be left out, got {backbone_share:g}: the model has no backbone that is tuned; use model "
            "'backbone-capsnet' with the model option frozen=false"
        )
    own = {id(parameter) for parameter in backbone}
    return [
        ([parameter for parameter in model.parameters() if id(parameter) not in own], 1.0),
        (backbone, backbone_share),
    ]
