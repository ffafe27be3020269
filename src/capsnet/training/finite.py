"""Detect divergence; a diverged state never overwrites the last good one."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from capsnet.errors import UserError
from capsnet.models import CapsuleModel
from capsnet.models.eval_mode import eval_mode
from capsnet.runs.config import RunConfig
from capsnet.training.batches import Batch


class Diverged(UserError):
    """The loss, or the weights, are no longer finite numbers."""


def has_finite_weights(model: nn.Module, optimizer: Optimizer) -> bool:
    """Whether weights, buffers and moments are finite numbers."""
    tensors: list[Tensor] = [*model.parameters(), *model.buffers()]
    for state in optimizer.state.values():
        tensors += [value for value in state.values() if isinstance(value, Tensor)]
    # in float64, a sum is finite if its terms are; combine all sums, as each result would wait for the device
    sums = [tensor.detach().sum(dtype=torch.float64) for tensor in tensors if tensor.is_floating_point()]
    return bool(torch.stack([value.to(sums[0].device) for value in sums]).isfinite().all())


class FiniteCheck:
    """Checks of a run's numbers; each raises `Diverged`, which names the step and its learning rate.

    Args:
        folder: of the run.
        config: of the run.
        steps_per_epoch: of the run.
    """

    def __init__(self, folder: Path, config: RunConfig, steps_per_epoch: int) -> None:
        self._folder, self._config, self._steps_per_epoch = folder, config, steps_per_epoch

    def losses(self, bad_step: int) -> None:
        """Check the losses of training.

        Args:
            bad_step: number of the first step whose loss was not finite; 0 for none.
        """
        if bad_step:
            self._refuse("the loss is", bad_step)

    def weights(self, model: CapsuleModel, optimizer: Optimizer, step: int) -> None:
        """Check weights, buffers and moments."""
        if not has_finite_weights(model, optimizer):
            self._refuse("the weights are", step)

    @torch.no_grad()
    def outputs(self, model: CapsuleModel, batch: Batch, step: int) -> None:
        """Check the model's output for a batch: with very large finite weights, it may not be finite."""
        with eval_mode(model):
            output = batch.run(model)
        if not (output.lengths.isfinite().all() and output.capsules.poses.isfinite().all()):
            self._refuse("the network's output is", step)

    def evaluation(self, loss: float, split: str, step: int) -> None:
        """Check the loss of an evaluation."""
        if not math.isfinite(loss):
            self._refuse(f"the {split} loss is", step)

    def _refuse(self, subject: str, step: int) -> None:
        kept = (self._folder / "last" / "checkpoint.safetensors").exists()
        last_good = f"the last good state is kept in {self._folder}" if kept else "no epoch was finished before"
        learning_rate = self._config.optimizer.learning_rate(step - 1, self._steps_per_epoch)
        raise Diverged(
            f"{subject} not finite at step {step}, where the learning rate is {learning_rate:.2g}; probably it is too "
            f"high: start a new run with a smaller `lr` ({last_good})"
        )
