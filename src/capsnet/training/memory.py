"""The memory of a training step, extrapolated from steps on a few images, with fused kernels where they apply."""

import gc
import weakref
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from capsnet.free_memory import free_memory
from capsnet.losses import reconstruction_loss
from capsnet.losses.class_loss import class_loss
from capsnet.models import CapsuleModel
from capsnet.torch_internals import TorchDispatchMode

# below the first number of images, a fused kernel may fall back to plain code
_FEW, _MORE = 16, 32
# bytes per input element, above what any network of this package needs besides its votes
_BYTES_PER_NUMBER = 64 * 1024


def memory_bound(model: CapsuleModel, batch_size: int) -> int:
    """Upper bound in bytes for a step of this package's models, from their sizes alone, as if all votes were stored.

    Args:
        model: on any device.
        batch_size: images in a step.
    """
    votes = sum((layer.num_children or 1) * layer.num_parents * layer.parent_dim for layer in model.dense_layers)
    numbers = torch.Size(model.input_shape).numel()
    return parameter_memory(model) + batch_size * (12 * votes + _BYTES_PER_NUMBER * numbers)


def parameter_memory(model: CapsuleModel) -> int:
    """Bytes of the weights, their gradients and Adam's two moments."""
    return 16 * sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def step_memory(model: CapsuleModel, batch_size: int, device: torch.device, precision: str = "fp32") -> int:
    """Peak bytes of a training step: weights, gradients, moments and intermediate tensors.

    The cost per image is the difference between a forward and backward pass of 32 and of 16 images. These passes run
    only if 32 times the memory of one image fits into half of the free memory; otherwise, the result is extrapolated
    from one image. Not included: memory of libraries, and the training images.

    Args:
        model: on the meta device; it is not changed.
        batch_size: images in a step.
        device: for training.
        precision: of the convolutions, `"fp32"` or `"bf16"`.
    """
    moments = parameter_memory(model) // 2
    single = _measure(model, 1, device, precision)
    each = single - moments // 2
    if batch_size == 1 or single + (_MORE - 1) * each > available_memory(device) // 2:
        return moments + single + (batch_size - 1) * each
    few = _measure(model, min(batch_size, _FEW), device, precision)
    if batch_size <= _FEW:
        return moments + few
    more = _measure(model, _MORE, device, precision)
    return moments + few + (batch_size - _FEW) * max(more - few, 0) // (_MORE - _FEW)


def fitting_batch(
    model: CapsuleModel, batch_size: int, needed: int, available: int, device: torch.device, precision: str = "fp32"
) -> int:
    """The largest batch, of at most `batch_size` images, whose step fits into memory; 0: none does.

    Args:
        model: on the meta device.
        batch_size: images in a step that does not fit.
        needed: bytes of that step.
        available: bytes.
        device: where it would be trained.
        precision: of the convolutions.
    """
    one = step_memory(model, 1, device, precision)
    each = max((needed - one) // max(batch_size - 1, 1), 1)
    fitting = min(1 + (available - one) // each, batch_size) if one <= available else 0
    # a fused kernel may leave few images to the plain code: not every image adds the same
    while fitting > 1 and step_memory(model, fitting, device, precision) > available:
        fitting = fitting * 3 // 4
    return fitting


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether an error means that memory could not be allocated."""
    if isinstance(fault, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(fault, RuntimeError) and "can't allocate memory" in str(fault)


def describe_out_of_memory(folder: Path, images: int, accumulate: int | None) -> str:
    """The message for a training step that ran out of memory.

    Args:
        folder: of the run.
        images: number of images, or other samples, at a time.
        accumulate: parts of a batch until now; None: batches cannot be divided.
    """
    half = max(images // 2, 1)
    remedy = f"use a batch_size of {half}"
    if accumulate is not None:
        remedy = (
            f"use accumulate={2 * accumulate}, which computes a batch in parts of {half}, or a batch_size of {half}"
        )
    if images == 1:
        remedy = "use smaller images (image_size)" if accumulate is not None else "use smaller samples"
    noun = "images" if accumulate is not None else "samples"
    return f"{folder}: out of memory with {images} {noun} at a time; {remedy} (saved files are intact)"


def available_memory(device: torch.device) -> int:
    """Free bytes on a device, within the limits on this process."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_memory()


def _measure(model: CapsuleModel, batch_size: int, device: torch.device, precision: str) -> int:
    """Peak bytes of a forward and backward pass: weights, gradients and intermediate tensors."""
    gc.collect()
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        _run(model, batch_size, device, precision)
        highest: int = torch.cuda.max_memory_allocated(device) - before
        return highest
    threads = torch.get_num_threads()
    # tensors of other threads are not counted
    torch.set_num_threads(1)
    try:
        with _Peak() as peak:
            _run(model, batch_size, device, precision)
    finally:
        torch.set_num_threads(threads)
    return int(peak.highest)


def _run(model: CapsuleModel, batch_size: int, device: torch.device, precision: str) -> None:
    forward = _Forward(model)
    tensors = {
        name: torch.full_like(tensor, 0.01 if tensor.is_floating_point() else 0, device=device).requires_grad_(
            tensor.requires_grad
        )
        for name, tensor in [*forward.named_parameters(), *forward.named_buffers()]
    }
    images = torch.full((batch_size, *model.input_shape), 0.5, device=device)
    labels = torch.zeros(batch_size, dtype=torch.long, device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        loss: Tensor = torch.func.functional_call(forward, tensors, (images, labels))
    loss.backward()


class _Forward(nn.Module):
    """The loss of a batch, as training computes it."""

    def __init__(self, model: CapsuleModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        output = self.model(images)
        loss = class_loss(self.model.loss, output, labels).mean()
        if self.model.has_decoder:
            reconstructions = self.model.reconstruct(output.capsules, labels)
            loss = loss + reconstruction_loss(reconstructions, images)
        return loss


class _Peak(TorchDispatchMode):
    """Tracks the total bytes of all live tensors and its maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.highest = 0
        self._known: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # otherwise the first operation imports torch's compiler, which takes seconds
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.bytes += size
            self.highest = max(self.highest, self.bytes)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.bytes -= size
