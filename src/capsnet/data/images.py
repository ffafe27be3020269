"""Image files: opened safely, and made into an input of a model."""

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from capsnet.data.dataset import Preparation
from capsnet.data.photo import center_digit
from capsnet.errors import UserError

MAX_PIXELS = 64_000_000


def open_image(source: Path | BytesIO, *, color: bool, name: str = "") -> Image.Image:
    """Open an image file as 8-bit grey or colour, upright; transparent places become white.

    Args:
        source: the file, or what is in it.
        color: whether the model sees colours.
        name: of the image, for messages; the file's, where there is one.

    Raises:
        UserError: a file that is missing, is no image, is damaged, or has more than 64 million pixels.
    """
    path = name or source
    try:
        with Image.open(source) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UserError(f"{path}: {width}x{height} pixels are too many to decode safely; shrink it below 64 MP")
            upright = ImageOps.exif_transpose(image)
            if upright.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
                upright = _to_eight_bits(upright)
            if upright.has_transparency_data:
                rgba = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
            return upright.convert("RGB" if color else "L")
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not an image file") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: is not an image that can be read (PNG, JPEG, ...)") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path}: has too many pixels to decode safely; shrink it below 64 MP") from None
    except (OSError, SyntaxError, ValueError) as fault:
        raise UserError(f"{path}: is a damaged image ({fault})") from None


def _to_eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, np.float32)
    top = 65535.0 if values.max() > 255 else 255.0
    return Image.fromarray((values.clip(0, top) * (255 / top)).astype(np.uint8))


def fit_image(image: Image.Image, height: int, width: int) -> Image.Image:
    """Scale an image into a frame, aspect kept; the rest is filled with its border's median colour."""
    scaled = ImageOps.contain(image, (width, height), Image.Resampling.BILINEAR)
    if scaled.size == (width, height):
        return scaled
    pixels = np.asarray(scaled)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    color = np.median(border.reshape(len(border), -1), axis=0).astype(int).tolist()
    frame = Image.new(image.mode, (width, height), tuple(color) if len(color) > 1 else color[0])
    frame.paste(scaled, ((width - scaled.width) // 2, (height - scaled.height) // 2))
    return frame


def digit_image(image: Image.Image, height: int, width: int) -> Image.Image:
    """Make a drawn or photographed digit look as MNIST's do; black where there is none."""
    return center_digit(image, height, width).image


def prepare_image(path: Path, image_shape: tuple[int, int, int], preparation: Preparation) -> UInt8[Tensor, "c h w"]:
    """Read an image file as the input of a model.

    Args:
        path: the file.
        image_shape: channels (1 or 3), height and width.
        preparation: `"digit"` as MNIST was made, `"fit"` scaled into the frame.

    Shapes:
        result `c h w`.

    Raises:
        UserError: a file that cannot be read as an image, or a model of neither 1 nor 3 channels.
    """
    channels, height, width = image_shape
    if channels not in (1, 3):
        raise UserError(f"{path}: an image file has 1 or 3 channels, the model wants {channels}")
    image = open_image(path, color=channels == 3)
    prepare = digit_image if preparation == "digit" and channels == 1 else fit_image
    pixels = np.array(prepare(image, height, width))
    return torch.from_numpy(pixels.reshape(height, width, channels)).permute(2, 0, 1)
