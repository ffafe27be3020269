import pytest
import torch

from capsnet.data.transforms import Contrast
from capsnet.data.transforms.contrast import adjust_contrast


@pytest.fixture
def images():
    """Two images of two channels, 0, 100 and 50, 250; the second image is half of the first."""
    one = torch.tensor([[[0.0, 100.0]], [[50.0, 250.0]]])
    return torch.stack([one, one / 2])


def test_contrast_is_about_the_mean_of_each_channel(images):
    changed = adjust_contrast(images, torch.tensor([0.5, 2.0]))
    assert changed[:, :, 0].tolist() == [[[25, 75], [100, 200]], [[-25, 75], [-25, 175]]]


def test_contrast_of_one_changes_nothing(images):
    torch.testing.assert_close(adjust_contrast(images, torch.ones(2)), images)


def test_factors_are_within_the_amount_of_one():
    factors = Contrast(0.8).draw(1000, torch.Generator().manual_seed(0), (3, 8, 8))
    assert 0.2 <= factors.min() < 0.22
    assert 1.78 < factors.max() <= 1.8
