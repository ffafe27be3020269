import numpy as np
import pytest
import torch

from capsnet.data import stored
from capsnet.data.stored import StoredImages
from capsnet.errors import UserError


@pytest.fixture
def pair():
    """Stored images, and the same ones in memory."""
    pixels = np.random.default_rng(0).integers(0, 256, (7, 1, 2, 3), np.uint8)
    rows = np.array([4, 0, 6, 2, 5])
    return StoredImages([pixels[:3], pixels[3:]], rows, rows), torch.from_numpy(pixels[rows])


READS = {
    "indices": lambda images: images[torch.tensor([3, 0, 3])],
    "negative": lambda images: images[torch.tensor([-1, -5])],
    "mask": lambda images: images[torch.tensor([True, False, True, False, False])],
    "one": lambda images: images[-1],
    "slice": lambda images: images[1:4].float(),
    "split": lambda images: torch.split(images, 2)[2] + 0,
    "column": lambda images: images[:, 0],
    "colour": lambda images: images.expand(-1, 3, -1, -1)[torch.tensor([2, 1])],
    "all": lambda images: images.clone(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_gives_what_memory_gives(pair, read):
    lazy, whole = pair
    assert type(read(lazy)) is torch.Tensor
    assert read(lazy).equal(read(whole))


def test_slices_splits_and_picks_read_nothing(pair):
    lazy, _ = pair
    parts = [lazy[1:3], *torch.split(lazy, 2), lazy.pick(torch.tensor([1, 2])), lazy.to("cpu")]
    assert all(isinstance(part, StoredImages) for part in parts)


def test_more_than_fits_is_refused(pair, monkeypatch):
    monkeypatch.setattr(stored, "_MOST_BYTES", 8)
    with pytest.raises(UserError, match="needs 5 images in memory at once"):
        pair[0].float()
