import pytest
import torch

from capsnet.data.standardize import standardize_images


@pytest.fixture
def images():
    """Two images of two channels, 0, 100 and 50, 250; the second image is half of the first."""
    one = torch.tensor([[[0.0, 100.0]], [[50.0, 250.0]]])
    return torch.stack([one, one / 2])


def test_standardised_image_has_mean_zero_and_variance_one(images):
    # of 0, 100, 50, 250 the mean is 100, the variance (100² + 0 + 50² + 150²) / 4 = 8750
    result = standardize_images(images)
    expected = torch.tensor([-100.0, 0.0, -50.0, 150.0]) / 8750**0.5
    torch.testing.assert_close(result[0].flatten(), expected)
    torch.testing.assert_close(result[1], result[0])


def test_an_image_of_one_colour_becomes_zero():
    assert standardize_images(torch.full((1, 3, 4, 4), 200.0)).abs().max() == 0


def test_faint_noise_is_divided_by_one_over_the_root_of_the_number_of_values():
    image = torch.tensor([0.0, 0.2]).repeat(8).view(1, 1, 4, 4)
    torch.testing.assert_close(standardize_images(image), (image - 0.1) * 4)
