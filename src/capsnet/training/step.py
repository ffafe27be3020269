"""One training step, from stored pixels to new weights; nothing in it waits for the device.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 3 to 5.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from capsnet.data import ImageData
from capsnet.data.augment import shift_images
from capsnet.errors import UserError
from capsnet.training.config import RunConfig
from capsnet.training.objective import find_losses


class Step:
    """Images in, weights changed, losses added to running sums.

    Args:
        model: on the device of `training`.
        training: images to learn from.
        config: the run's.
        precision: of the convolutions, `"fp32"` or `"bf16"`.

    Attributes:
        totals: loss, margin loss, reconstruction loss, correct images and images, summed until somebody zeroes them.
        done: steps done.
        bad_step: number of the first step, from 1, whose loss was not finite; 0 for none.

    Raises:
        UserError: an execution that this device does not have.
    """

    def __init__(self, model: nn.Module, training: ImageData, config: RunConfig, precision: str) -> None:
        self.model, self.training, self.config, self.precision = model, training, config, precision
        device = training.images.device
        on_gpu = device.type == "cuda"
        if config.execution == "cuda-graph" and not on_gpu:
            raise UserError(f"--execution cuda-graph needs a CUDA device, this run is on {device.type}; use eager")
        # on a GPU the rate is a tensor: a captured step reads it anew each time it is replayed
        rate = torch.tensor(config.lr, device=device) if on_gpu else config.lr
        self.optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True, capturable=on_gpu)
        self.totals = torch.zeros(5, device=device)
        self.done, self.bad_step = (torch.zeros((), dtype=torch.long, device=device) for _ in range(2))
        self._losses = torch.compile(find_losses) if config.execution == "compile" else find_losses
        self._captured: _Captured | None = None
        self._warm_up = 3

    def __call__(self, indices: Int[Tensor, " b"], shifts: Int[Tensor, "b 2"], rate: float) -> None:
        """Learn from the images at `indices`, each moved by its shift, at this learning rate."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        # the last, smaller batch of an epoch has sizes of its own
        if self.config.execution == "cuda-graph" and len(indices) == self.config.batch_size:
            self._replay(indices, shifts)
        else:
            self._work(indices, shifts)

    def _replay(self, indices: Int[Tensor, " b"], shifts: Int[Tensor, "b 2"]) -> None:
        """Learn by the captured step; the first steps run as they are, aside, as PyTorch asks before a capture."""
        if self._warm_up:
            self._warm_up -= 1
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                self._work(indices, shifts)
            torch.cuda.current_stream().wait_stream(aside)
            return
        if self._captured is None:
            self._captured = _Captured(self._work, indices, shifts)
        self._captured.replay(indices, shifts)

    def _work(self, indices: Int[Tensor, " b"], shifts: Int[Tensor, "b 2"]) -> None:
        images, labels = self.training.images[indices], self.training.labels[indices]
        inputs = prepare_images(images, shifts if self.config.shift else None)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            losses = self._losses(self.model, inputs, labels, self.config.recon_weight)
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        with torch.no_grad():
            means = torch.stack([losses.total, losses.margin, losses.reconstruction]) * len(images)
            self.totals += torch.cat([means, losses.correct[None], torch.full_like(losses.correct[None], len(images))])
            self.done += 1
            unheard = (self.bad_step == 0) & ~losses.total.isfinite()
            self.bad_step.copy_(torch.where(unheard, self.done, self.bad_step))


class _Captured:
    """A step as a CUDA graph: one launch in place of some hundreds. It reads its arguments from memory of its own."""

    def __init__(self, work: Callable[[Tensor, Tensor], None], indices: Tensor, shifts: Tensor) -> None:
        self._indices, self._shifts = indices.clone(), shifts.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            # recorded, not computed
            work(self._indices, self._shifts)

    def replay(self, indices: Tensor, shifts: Tensor) -> None:
        """Do the step on other images."""
        self._indices.copy_(indices)
        self._shifts.copy_(shifts)
        self._graph.replay()


def prepare_images(images: UInt8[Tensor, "b c h w"], shifts: Int[Tensor, "b 2"] | None) -> Float[Tensor, "b c h w"]:
    """Move images by their shifts and bring pixels to [0, 1]."""
    moved = images if shifts is None else shift_images(images, shifts)
    return moved.float() / 255
