import pytest
import torch

from capsnet.data.transforms import Brightness
from capsnet.data.transforms.brightness import adjust_brightness


@pytest.fixture
def images():
    """Two images of two channels, 0, 100 and 50, 250; the second image is half of the first."""
    one = torch.tensor([[[0.0, 100.0]], [[50.0, 250.0]]])
    return torch.stack([one, one / 2])


def test_each_image_gains_its_own_amount_and_is_not_cut(images):
    brighter = adjust_brightness(images, torch.tensor([63.0, -63.0]))
    assert brighter[:, :, 0].tolist() == [[[63, 163], [113, 313]], [[-63, -13], [-38, 62]]]


def test_amounts_have_both_signs():
    amounts = Brightness(63).draw(1000, torch.Generator().manual_seed(0), (3, 8, 8))
    assert -63 <= amounts.min() < -62
    assert 62 < amounts.max() <= 63
