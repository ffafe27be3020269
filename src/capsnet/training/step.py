"""One training step, from stored pixels to new weights, without waiting for the device.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 3 to 5.
"""

import contextlib
import logging
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from capsnet.data.stored import StoredImages
from capsnet.data.transforms import Draws
from capsnet.errors import UserError
from capsnet.models import CapsuleModel
from capsnet.runs.built import RECON_WEIGHT
from capsnet.runs.config import RunConfig
from capsnet.runs.sections import Execution
from capsnet.training.batches import Batch, Batches, take
from capsnet.training.distributed import Processes, naming_lost_processes
from capsnet.training.objective import Losses, find_losses
from capsnet.training.optimizer import make_optimizer, set_learning_rate

_ALONE = Processes()


class Part(NamedTuple):
    """A part of a batch, for gradient accumulation.

    Args:
        images: positions in the batch.
        weight: of its mean loss in the mean over the batch, times the number of processes, as gradients are averaged.
        is_first: first part of this process.
        is_last: last part of this process.
    """

    images: slice
    weight: float
    is_first: bool
    is_last: bool


class Step:
    """A training step: forward, loss, backward, optimiser step; losses are added to running sums.

    Args:
        model: on the device of the images.
        batches: training images.
        config: of the run.
        precision: of the convolutions, `"fp32"`, `"tf32"` or `"bf16"`; the caller sets it with `use_precision`.
        processes: that share each batch.

    Attributes:
        totals: loss, margin loss, reconstruction loss, correct images and images of this process, summed until the
            caller zeroes them.
        done: completed steps.
        bad_step: number of the first step, from 1, whose loss was not finite; 0 for none.

    Raises:
        UserError: the device does not support the execution mode.
    """

    def __init__(
        self,
        model: CapsuleModel,
        batches: Batches,
        config: RunConfig,
        precision: str,
        processes: Processes = _ALONE,
    ) -> None:
        self.model, self.batches, self.config, self.precision = model, batches, config, precision
        self.processes = processes
        device = batches.data.images.device
        self.captures = captures(config.run.execution, device) and processes.count == 1
        # images in shards are read by the host, which a CUDA graph cannot record
        self.captures &= not isinstance(batches.data.images, StoredImages)
        self.optimizer = make_optimizer(model, config.optimizer, device)
        self.totals = torch.zeros(5, device=device)
        self.done, self.bad_step = (torch.zeros((), dtype=torch.long, device=device) for _ in range(2))
        self._total = config.optimizer.total_steps(-(-len(batches) // config.optimizer.batch_size))
        own = RECON_WEIGHT if model.has_decoder else 0.0
        self._recon_weight = own if config.optimizer.recon_weight is None else config.optimizer.recon_weight
        unused = not model.all_trained or (model.has_decoder and not self._recon_weight)
        self._losses = processes.wrap(
            _Losses(model, self._recon_weight, config.run.execution == "compile"), unused=unused
        )
        self._captured: _Captured | None = None
        self._warm_up = 3

    def __call__(self, indices: Int[Tensor, " b"], draws: Draws, learning_rate: float) -> None:
        """Train on the images at `indices`, augmented with their random numbers."""
        set_learning_rate(self.optimizer.param_groups, learning_rate)
        # the last batch of an epoch may be smaller
        if self.captures and len(indices) == self.config.optimizer.batch_size:
            # streams and graphs belong to the current device
            with torch.cuda.device_of(indices):
                self._replay(indices, draws)
        else:
            self._run(indices, draws)

    def _replay(self, indices: Int[Tensor, " b"], draws: Draws) -> None:
        """Replay the CUDA graph; the first three steps warm up on a side stream."""
        if self._warm_up:
            self._warm_up -= 1
            side_stream = torch.cuda.Stream()
            side_stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side_stream):
                self._run(indices, draws)
            torch.cuda.current_stream().wait_stream(side_stream)
            return
        if self._captured is None:
            try:
                self._captured = _Captured(self._run, indices, draws)
            except RuntimeError as fault:
                if self.config.run.execution != "auto":
                    raise
                reason = str(fault).splitlines()[0]
                logging.getLogger("capsnet").warning(f"steps run eagerly: they cannot be captured ({reason})")
                self.captures = False
                self._run(indices, draws)
                return
        self._captured.replay(indices, draws)

    def _run(self, indices: Int[Tensor, " b"], draws: Draws) -> None:
        with naming_lost_processes():
            for part in self.parts(len(indices)):
                self._accumulate(indices[part.images], take(draws, part.images), part)
        self.optimizer.step()
        with torch.no_grad():
            self.done += 1

    def _accumulate(self, indices: Int[Tensor, " b"], draws: Draws, part: Part) -> None:
        """Add the gradients of one part; with the last part, the processes exchange their gradients."""
        batch = self.batches.make(indices, draws)
        losses_module = self._losses
        # gradients are exchanged once, with the last part
        with (
            losses_module.no_sync()
            if isinstance(losses_module, DistributedDataParallel) and not part.is_last
            else contextlib.nullcontext()
        ):
            with torch.autocast(indices.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                # training in memory may go on beyond the length of its configuration
                progress = (self.done / self._total).clamp(max=1)
                losses: Losses = losses_module(batch, progress)
            if part.is_first:
                # not before the forward pass, which would reuse the memory of the gradients
                self.optimizer.zero_grad(set_to_none=True)
            (losses.total * part.weight).backward()
        if part.weight == 0:
            return
        with torch.no_grad():
            means = torch.stack([losses.total, losses.margin, losses.reconstruction]) * len(indices)
            self.totals += torch.cat([means, losses.correct[None], torch.full_like(losses.correct[None], len(indices))])
            is_first_bad = (self.bad_step == 0) & ~losses.total.isfinite()
            self.bad_step.copy_(torch.where(is_first_bad, self.done + 1, self.bad_step))

    def parts(self, size: int) -> list[Part]:
        """The parts of a batch that this process computes in sequence.

        Args:
            size: images in the batch of all processes.
        """
        share, count = self.processes.share(size), self.processes.count
        images = share.stop - share.start
        if images == 0:
            # all processes must exchange gradients: this one contributes an image of weight 0
            return [Part(slice(0, 1), 0.0, True, True)]
        each = -(-images // self.config.optimizer.accumulate)
        slices = [slice(start, min(start + each, share.stop)) for start in range(share.start, share.stop, each)]
        weights = [(positions.stop - positions.start) * count / size for positions in slices]
        return [
            Part(positions, weight, positions is slices[0], positions is slices[-1])
            for positions, weight in zip(slices, weights, strict=True)
        ]


class _Losses(nn.Module):
    """The losses of a batch as a module, which DistributedDataParallel can wrap."""

    def __init__(self, model: CapsuleModel, recon_weight: float, compiled: bool) -> None:
        super().__init__()
        self.model, self.recon_weight = model, recon_weight
        self._find = torch.compile(find_losses) if compiled else find_losses

    def forward(self, batch: Batch, progress: Tensor) -> Losses:
        return self._find(self.model, batch, self.recon_weight, progress)


def captures(execution: Execution, device: torch.device) -> bool:
    """Whether steps are captured as a CUDA graph: on a GPU, unless execution is eager.

    Raises:
        UserError: cuda-graph without a GPU.
    """
    if execution == "cuda-graph" and device.type != "cuda":
        raise UserError(f"`execution` cuda-graph needs a CUDA device, this run is on {device.type}; use eager")
    return device.type == "cuda" and execution != "eager"


class _Captured:
    """A step as a CUDA graph: one launch instead of hundreds. It reads its arguments from its own static buffers."""

    def __init__(self, run: Callable[[Tensor, Draws], None], indices: Tensor, draws: Draws) -> None:
        self._indices, self._draws = indices.clone(), {name: numbers.clone() for name, numbers in draws.items()}
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            # recorded, not computed
            run(self._indices, self._draws)

    def replay(self, indices: Tensor, draws: Draws) -> None:
        """Run the step on other images."""
        self._indices.copy_(indices)
        for name, numbers in draws.items():
            self._draws[name].copy_(numbers)
        self._graph.replay()
