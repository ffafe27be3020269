"""Images that stay in memory-mapped files: a tensor whose pixels are read when they are indexed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from torch import Tensor

from capsnet.errors import UserError
from capsnet.torch_internals import aten, wrap_tensor

_MOST_BYTES = 1 << 30


class StoredImages(Tensor):
    """Images `m c h w` in memory-mapped arrays.

    Slices, splits and `pick` read nothing. Indexing reads the selected images onto the tensor's device. Every other
    operation reads all images, up to 1 GB.

    Args:
        arrays: the images of each shard.
        rows: the position of each image in the concatenated arrays.
        hashes: a hash of each image's pixels, to detect copies.
        device: device of the images that are read; the files stay on the host.
        channels: number of channels; 3 for grey files repeats their channel. None: the channels of the files.

    Shapes:
        `m c h w`, uint8.
    """

    arrays: Sequence[UInt8[np.ndarray, "_ c h w"]]
    rows: NDArray[np.int64]
    hashes: NDArray[np.int64]
    channels: int

    @staticmethod
    def __new__(
        cls,
        arrays: Sequence[NDArray[np.uint8]],
        rows: NDArray[np.int64],
        hashes: NDArray[np.int64],
        device: torch.device | None = None,
        channels: int | None = None,
    ) -> "StoredImages":
        """Make the tensor; its memory is never allocated."""
        stored, height, width = arrays[0].shape[1:]
        shape = (len(rows), channels or stored, height, width)
        images = wrap_tensor(cls, shape, torch.uint8, device or torch.device("cpu"))
        images.arrays, images.rows, images.hashes, images.channels = arrays, rows, hashes, shape[1]
        return images

    def __repr__(self) -> str:  # type: ignore[override] # torch passes contents, which are not read here
        return f"StoredImages(shape={tuple(self.shape)}, device={self.device})"

    def pick(self, indices: Int[Tensor, " k"]) -> "StoredImages":
        """The images at `indices`, still in their files."""
        chosen = indices.cpu().numpy()
        return self._with(self.rows[chosen], self.hashes[chosen])

    def read(self, indices: Int[Tensor, " k"]) -> UInt8[Tensor, "k c h w"]:
        """Read images onto the tensor's device.

        Shapes:
            indices `k`, result `k c h w`.
        """
        return self.read_to_host(indices).to(self.device, non_blocking=True)

    def read_to_host(self, indices: Int[Tensor, " k"]) -> UInt8[Tensor, "k c h w"]:
        """Read images into host memory, pinned if the tensor's device is a GPU."""
        rows = self.rows[indices.cpu().numpy()]
        shape = (len(rows), *self.arrays[0].shape[1:])
        result = torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        pixels, starts = result.numpy(), np.cumsum([0, *map(len, self.arrays)])
        shards = np.searchsorted(starts, rows, side="right") - 1
        for shard in np.unique(shards):
            positions = (shards == shard).nonzero()[0]
            pixels[positions] = self.arrays[shard][rows[positions] - starts[shard]]
        return result if self.channels == shape[1] else result.expand(-1, self.channels, -1, -1)

    def read_all(self) -> UInt8[Tensor, "m c h w"]:
        """Read all images into memory."""
        return self.read(torch.arange(len(self)))

    def _with(self, rows: NDArray[np.int64], hashes: NDArray[np.int64]) -> "StoredImages":
        return StoredImages(self.arrays, rows, hashes, self.device, self.channels)

    def _part(self, part: slice) -> "StoredImages":
        return self._with(self.rows[part], self.hashes[part])

    @classmethod
    def __torch_dispatch__(  # type: ignore[override] # torch declares a function that is disabled
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Read only the images that an operation needs."""
        kwargs, images = kwargs or {}, args[0]
        if isinstance(images, StoredImages):
            match func, args[1:]:
                case aten.index.Tensor, ([Tensor() as indices],):
                    return images.read(indices.nonzero()[:, 0] if indices.dtype == torch.bool else indices)
                case aten.index_select.default, (0, indices):
                    return images.read(indices)
                case aten.slice.Tensor, (0, *bounds):
                    return images._part(slice(*bounds))
                case aten.split.Tensor, (size, *axis) if axis in ([], [0]):
                    return [images._part(slice(k, k + size)) for k in range(0, len(images), size)]
                case aten.select.int, (0, index):
                    return images.read(torch.tensor([index]))[0]
                case ((aten.detach.default | aten.alias.default), _):
                    return images._part(slice(None))
                case aten.expand.default, ([-1, 3, -1, -1],) if images.channels == 1:
                    return StoredImages(images.arrays, images.rows, images.hashes, images.device, 3)
                case aten._to_copy.default, () if kwargs.get("dtype", torch.uint8) == torch.uint8:
                    device = torch.device(kwargs.get("device") or images.device)
                    return StoredImages(images.arrays, images.rows, images.hashes, device, images.channels)
        return func(*_read_stored(args), **{name: _read_stored(value) for name, value in kwargs.items()})


def select_images(images: UInt8[Tensor, "m c h w"], indices: Int[Tensor, " k"]) -> UInt8[Tensor, "k c h w"]:
    """The images at `indices`; stored ones stay in their files."""
    return images.pick(indices) if isinstance(images, StoredImages) else images[indices]


def _read_stored(value: Any) -> Any:
    """Read stored images into memory, also those in lists.

    Raises:
        UserError: images of more than 1 GB.
    """
    if isinstance(value, list | tuple):
        return type(value)(map(_read_stored, value))
    if not isinstance(value, StoredImages):
        return value
    if value.nbytes > _MOST_BYTES:
        raise UserError(
            f"this needs {len(value):,} images in memory at once, {value.nbytes / 1e9:.1f} GB of at most "
            f"{_MOST_BYTES / 1e9:.1f} GB; use fewer images (limit, test_limit, validation) or shards='never'"
        )
    return value.read_all()
