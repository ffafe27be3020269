import numpy as np
import pytest
import torch
from PIL import Image

from capsnet import UserError
from capsnet.inference import segment
from capsnet.inference.segment import measure_pixels
from capsnet.models import SegmentationModel, SegmentationOutput, create_segmenter, load_segmenter


class Bright(SegmentationModel):
    """Marks bright pixels, and dark ones."""

    def __init__(self):
        super().__init__((1, 4, 4), 2)
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, images):
        self.check_images(images)
        return SegmentationOutput(torch.cat([images, 1 - images], dim=1) * self.scale, None)


def test_masks_have_the_size_of_the_image(tmp_path):
    pixels = torch.zeros(8, 12, dtype=torch.uint8)
    pixels[:, 6:] = 255
    Image.fromarray(pixels.numpy()).save(tmp_path / "half.png")
    bright, dark = segment(Bright(), tmp_path / "half.png")
    assert bright.equal(pixels == 255)
    assert dark.equal(pixels == 0)


def test_a_tensor_of_the_models_size_is_not_scaled():
    model = create_segmenter("unet-small", image_shape=(1, 8, 8), num_classes=2)
    image = torch.rand(1, 8, 8)
    masks = segment(model, image, threshold=0.4)
    assert model.training
    assert masks.equal(model.eval().segment(image[None], 0.4)[0])


def test_bytes_and_floats_have_the_same_masks():
    image = torch.randint(256, (1, 5, 9), dtype=torch.uint8)
    assert segment(Bright(), image).equal(segment(Bright(), image / 255))


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (torch.rand(3, 8, 8), {}, r"image must be 1 x height x width, got \(3, 8, 8\)"),
        (torch.rand(1, 8, 8), {"threshold": 2.0}, "threshold"),
        ("nowhere.png", {}, "nowhere.png: no such file"),
        (torch.ones(1, 8, 8, dtype=torch.int64), {}, r"pixels must be uint8 or floats in \[0, 1\], got torch.int64"),
        (torch.full((1, 8, 8), 255.0), {}, r"pixels given as floats must be in \[0, 1\], got 255 to 255"),
        (torch.full((1, 8, 8), torch.nan), {}, "pixels given as floats must be in"),
    ],
)
def test_other_images_are_refused(image, options, message):
    with pytest.raises(UserError, match=message):
        segment(Bright(), image, **options)


def test_a_model_for_volumes_is_refused():
    model = create_segmenter("unet-small", image_shape=(1, 8, 8, 8), num_classes=1)
    with pytest.raises(UserError, match="this model is for volumes"):
        segment(model, torch.rand(1, 8, 8))


def test_deep_file_is_read_with_the_range_of_the_training(tmp_path):
    model = create_segmenter("unet-small", image_shape=(1, 8, 8), num_classes=1, channels=2, levels=2).eval()
    Image.fromarray(np.full((8, 8), 900, np.uint16)).save(tmp_path / "a.png")
    model.pixel_range = (0.0, 4095.0)
    model.save(tmp_path / "model.safetensors")
    loaded = load_segmenter(tmp_path / "model.safetensors")
    assert loaded.pixel_range == (0.0, 4095.0)
    expected = measure_pixels(model, torch.full((1, 8, 8), round(255 * 900 / 4095), dtype=torch.uint8))
    assert measure_pixels(loaded, tmp_path / "a.png").equal(expected)
