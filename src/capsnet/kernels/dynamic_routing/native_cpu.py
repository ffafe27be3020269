"""Fused dynamic routing on a CPU in C (`dynamic_routing.c`), for float32 and less.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Procedure 1; the derivation is in README.md of
this folder. This file gives the C functions their memory, and divides the work over threads: by blocks of 16 images
where every thread gets as many, otherwise by chunks of 32 children, with a wait after each iteration. The sums have the
same order in both cases.
"""

import ctypes
from collections.abc import Iterable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from capsnet.kernels import native
from capsnet.threads import in_parts

SOURCE = Path(__file__).with_name("dynamic_routing.c")

# BLOCK and CHUNK of the C file
_BLOCK, _CHUNK = 16, 32
# chunks of one block that are worth a thread's start
_FEWEST_CHUNKS = 4
_SIZES = ("images", "children", "parents", "c", "d", "iterations", "leaky", "full", "backward")
_ARRAYS = ("poses", "weight", "bias", "outputs", "coupling", "totals", "reached", "grad_totals", "agreed", "sums")
_GRADS = ("grad_poses", "grad_weight", "grad_bias")


class _Call(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in _SIZES),
        *((name, ctypes.c_void_p) for name in (*_ARRAYS, *_GRADS)),
    )


def forward(
    poses: Float[Tensor, "b i c"],
    weight: Float[Tensor, "i c j d"],
    bias: Float[Tensor, "j d"] | None,
    leaky: bool,
    parents: Float[Tensor, "b j d"],
    coupling: Float[Tensor, "b i j"],
    totals: Float[Tensor, "r b j d"],
) -> None:
    """Fill `parents`, `coupling` and `totals` from the other arguments."""
    work = _Work(poses, weight, len(totals), leaky)
    outputs, kept = _room_for(parents), _room_for(coupling.permute(2, 1, 0))
    work.give(outputs=outputs, totals=totals)
    if bias is not None:
        work.give(bias=bias)
    if len(totals) == 1:
        kept.fill_(work.share)
    else:
        work.give(coupling=kept)
    work.iterate(range(len(totals)))
    _put(outputs, parents)
    _put(kept, coupling.permute(2, 1, 0))


def backward(
    poses: Float[Tensor, "b i c"],
    weight: Float[Tensor, "i c j d"],
    totals: Float[Tensor, "r b j d"],
    grad_parents: Float[Tensor, "b j d"],
    grad_coupling: Float[Tensor, "b i j"] | None,
    leaky: bool,
    full: bool,
    grads: tuple[Float[Tensor, "b i c"], Float[Tensor, "i c j d"], Float[Tensor, "j d"]],
) -> None:
    """Fill `grads`, those of `poses`, `weight` and `bias`, from the other arguments."""
    work = _Work(poses, weight, len(totals), leaky, full=full, backward=True)
    work.give(outputs=grad_parents, totals=totals)
    if grad_coupling is not None:
        work.give(coupling=grad_coupling.permute(2, 1, 0))
    results = [_room_for(grad) for grad in grads]
    work.give(**dict(zip(_GRADS, results, strict=True)))
    work.iterate(range(len(totals) - 1, 0, -1) if full else ())
    work.find_gradients()
    for result, grad in zip(results, grads, strict=True):
        _put(result, grad)


class _Work:
    """A call of the C functions, and the memory that it needs."""

    def __init__(
        self,
        poses: Float[Tensor, "b i c"],
        weight: Float[Tensor, "i c j d"],
        iterations: int,
        leaky: bool,
        *,
        full: bool = True,
        backward: bool = False,
    ) -> None:
        b, (i, c, j, d) = len(poses), weight.shape
        self.blocks, self.chunks = -(-b // _BLOCK), -(-i // _CHUNK)
        self.block_size, self.share = j * d * _BLOCK, 1 / (j + leaky)
        self.backward = backward
        self.call = _Call(b, i, j, c, d, iterations, leaky, full, backward)
        self.tensors: list[Tensor] = []
        self.library = native.load(SOURCE)
        self.library.room_size.restype = ctypes.c_int64
        self.room_size = self.library.room_size(ctypes.byref(self.call))
        reached = poses.new_empty(self.blocks * iterations * self.block_size, dtype=torch.float32)
        self.give(poses=poses, weight=weight, reached=reached)
        if backward:
            self.give(grad_totals=torch.empty_like(reached), agreed=reached.new_empty(self.blocks * self.block_size))

    def give(self, **arrays: Tensor) -> None:
        """Set pointers of the call, to contiguous float32 numbers."""
        for name, array in arrays.items():
            numbers = array.to(torch.float32).contiguous()
            self.tensors.append(numbers)
            setattr(self.call, name, numbers.data_ptr())

    def iterate(self, steps: Iterable[int]) -> None:
        """Do all passes over the children; `steps` are their iterations."""
        threads = torch.get_num_threads()
        if self.blocks % threads == 0 or self.blocks > 4 * threads:
            in_parts(self.blocks, lambda part: self._run("iterate", part), at_least=1)
            return
        self.give(sums=_new_room(self.blocks * self.chunks * self.block_size))
        if self.backward:
            self.library.begin(ctypes.byref(self.call))
        for step in steps:
            self._divide_chunks("sum_votes", ctypes.c_int64(step))
            self.library.finish(ctypes.byref(self.call), ctypes.c_int64(step))

    def find_gradients(self) -> None:
        """Find all gradients, after the passes of `iterate`."""
        self._divide_chunks("find_gradients")
        self.library.find_grad_bias(ctypes.byref(self.call))

    def _divide_chunks(self, name: str, *arguments: ctypes.c_int64) -> None:
        at_least = -(-_FEWEST_CHUNKS // self.blocks)
        in_parts(self.chunks, lambda part: self._run(name, part, *arguments), at_least=at_least)

    def _run(self, name: str, part: slice, *arguments: ctypes.c_int64) -> None:
        room = _new_room(self.room_size)
        edges = ctypes.c_int64(part.start), ctypes.c_int64(part.stop)
        self.library[name](ctypes.byref(self.call), *arguments, *edges, native.pointer(room))


def _room_for(array: Tensor) -> Tensor:
    """The array itself if C can write it, otherwise memory of its size."""
    return array if array.dtype == torch.float32 and array.is_contiguous() else _new_room(*array.shape)


def _new_room(*shape: int) -> Tensor:
    # the defaults of torch, which a caller may have set, are not what C writes
    return torch.empty(shape, dtype=torch.float32, device="cpu")


def _put(result: Tensor, array: Tensor) -> None:
    if result.data_ptr() != array.data_ptr():
        array.copy_(result)
