"""Read the images of the next batches from shards while the device computes."""

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from jaxtyping import Int, UInt8
from torch import Tensor

from capsnet.data.stored import StoredImages

_THREADS, _AHEAD = 2, 4


class ReadAhead:
    """Reads the images of an epoch's batches in background threads, in the order in which they are used.

    Args:
        images: images in shards.
        order: order of an epoch's images.
        parts: the positions in `order` of each batch, in the order of the batches.

    Shapes:
        order `m`.
    """

    def __init__(self, images: StoredImages, order: Int[Tensor, " m"], parts: Iterable[slice]) -> None:
        self._images, self._order, self._parts = images, order, iter(parts)
        # copied once for each epoch: copying for each batch would synchronise a GPU
        self._host_order = order.cpu()
        self._executor = ThreadPoolExecutor(_THREADS)
        self._pending: deque[tuple[tuple[int, int], Future[Tensor]]] = deque()
        for _ in range(_AHEAD):
            self._start_next()

    def take(self, indices: Int[Tensor, " k"]) -> UInt8[Tensor, "k c h w"]:
        """The images of a part of the order; other indices are read directly.

        Shapes:
            indices `k`, result `k c h w` on the device of `images`.
        """
        if self._pending and self._pending[0][0] == self._position(indices):
            images = self._pending.popleft()[1].result()
            self._start_next()
            return images.to(self._images.device, non_blocking=True)
        return self._images.read(indices)

    def close(self) -> None:
        """Stop the threads."""
        self._executor.shutdown(cancel_futures=True)

    def _position(self, indices: Tensor) -> tuple[int, int] | None:
        """The position of indices in the order, by their address: comparing values would synchronise a GPU."""
        if indices.untyped_storage().data_ptr() != self._order.untyped_storage().data_ptr():
            return None
        return int(indices.storage_offset()), len(indices)

    def _start_next(self) -> None:
        part = next(self._parts, None)
        if part is not None:
            indices = self._host_order[part]
            start = int(self._order.storage_offset()) + part.start
            self._pending.append(((start, len(indices)), self._executor.submit(self._images.read_to_host, indices)))
