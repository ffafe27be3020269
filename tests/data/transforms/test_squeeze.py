import numpy as np
import pytest
import torch
from PIL import Image
from tests.official import pixels

from capsnet.data.transforms import Squeeze
from capsnet.data.transforms.squeeze import draw_half_normal_squeezes, draw_squeezes, resize_widths, squeeze_images
from capsnet.errors import UserError


def test_squeezed_image_is_narrower_about_its_middle_and_as_high():
    images = torch.full((2, 1, 8, 8), 200, dtype=torch.uint8)
    narrow = squeeze_images(images, torch.tensor([0, 4]))
    assert narrow[0].equal(images[0])
    assert (narrow[1, 0] == torch.tensor([0, 0, 200, 200, 200, 200, 0, 0])).all()


def test_squeezes_are_drawn_up_to_the_most():
    drawn = draw_squeezes(500, 7, torch.Generator().manual_seed(0))
    assert drawn.unique().tolist() == list(range(8))


@pytest.mark.parametrize("narrower", [0, 1, 4, 7])
def test_widths_are_resized_as_by_pillow_with_lanczos(narrower):
    image, left = pixels(1, 1, 28, 28), narrower // 2
    drawn = resize_widths(torch.from_numpy(image).float(), torch.tensor([narrower]), torch.tensor([left]))
    expected = Image.fromarray(image[0, 0].astype(np.float32)).resize((28 - narrower, 28), Image.Resampling.LANCZOS)
    whole = np.zeros((28, 28), np.float32)
    whole[:, left : left + 28 - narrower] = np.asarray(expected)
    # Pillow rounds weights to 8 bits or so only of bytes; of floats the rest is float32's
    np.testing.assert_allclose(drawn[0, 0].numpy(), whole, atol=1e-3)


def test_resized_bytes_are_rounded_and_cut_off():
    image = torch.from_numpy(pixels(1, 1, 8, 8) // 128 * 255)
    amounts = torch.tensor([3]), torch.tensor([1])
    exact = resize_widths(image.float(), *amounts)
    assert exact.max() > 255
    assert resize_widths(image, *amounts).equal(exact.round().clamp(0, 255).to(torch.uint8))


def test_half_normal_squeezes_are_those_of_the_authors():
    pixels, left = draw_half_normal_squeezes(20_000, 7, torch.Generator().manual_seed(0)).unbind(1)
    assert pixels.unique().tolist() == list(range(1, 8))
    assert pixels.double().mean() == pytest.approx(2.4, abs=0.05)
    right = left - pixels // 2
    assert right.unique().tolist() == [0, 1]
    # P(2 |N(0, 0.33)| >= 1) = 2 (1 - Phi(1.515))
    assert right.double().mean() == pytest.approx(0.1297, abs=0.008)
    # nothing is cut off
    assert (left <= pixels).all()


def test_a_squeeze_of_the_whole_width_is_refused():
    with pytest.raises(UserError, match="pixels of Squeeze must be below the width of the images, 8, got 8"):
        Squeeze(8).draw(1, torch.Generator(), (1, 8, 8))
