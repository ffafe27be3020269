"""Image files: opened safely, and made into an input of a model."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageFile
from torch import Tensor

from capsnet.data.dataset import Preparation
from capsnet.data.deep import DeepImage, is_deep, load_deep
from capsnet.data.formats import FORMATS as FORMATS
from capsnet.data.formats import SUFFIXES as SUFFIXES
from capsnet.data.formats import Source, open_header, printable_name, refusing_damage
from capsnet.data.photo import center_digit
from capsnet.data.pixels import ImageInfo as ImageInfo
from capsnet.data.pixels import PixelRange, check_range, check_units, decide_range
from capsnet.errors import UserError

# an image is reduced to no less than so many times the side that is needed: what is lost is below a level on average
_MARGIN = 3
# side of the image in which a digit is looked for
_DIGIT_SIDE = 640
# pixels that are converted at once
_BAND_PIXELS = 2_000_000
# side of the image on which the ground of transparent places is chosen
_GROUND_SIDE = 512
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(
    source: Source, *, color: bool, name: str = "", pixel_range: PixelRange | None = None, side: int = 0
) -> Image.Image:
    """Open an image file as 8-bit grey or colour, upright, with transparent places filled.

    Transparent places become white, or black where no visible pixel is darker than mid-grey (fewer than one in a
    hundred): what is drawn in white on nothing would vanish on white.

    Args:
        source: the file, or its contents.
        color: whether the model sees colours.
        name: of the image, for messages; the file's, where there is one.
        pixel_range: values that become black and white, of files of more than 8 bits; None: decided from this file.
        side: the caller needs no more pixels along the longer side; the result may have up to three times as many,
            or more. 0: the image keeps its size.

    Raises:
        UserError: a file that is missing, of another format, damaged, of more than 64 million pixels, or with pixels
            that are not finite.
    """
    name = printable_name(name or source)
    if pixel_range is not None:
        check_range(pixel_range)
    with open_header(source, name) as image:
        deep = is_deep(image)
        if not deep:
            pixels = _decode(image, name, color, side)
            return _finish(pixels, image, color)
    loaded = load_deep(source, name)
    return _finish(_scale_deep(loaded, pixel_range, side), loaded.upper, color)


def probe_image(source: Source, name: str = "") -> ImageInfo:
    """Read an image file's header; of a file of more than 8 bits also its extreme values.

    Args:
        source: the file, or its contents.
        name: of the image, for messages; the file's, where there is one.

    Raises:
        UserError: as `open_image`; damage to the pixels of an 8-bit file is not noticed.
    """
    name = printable_name(name or source)
    with open_header(source, name) as image, refusing_damage(name):
        width, height = image.size
        if _orientation(image, decoded=False) >= 5:
            width, height = height, width
        # the further images of a photo (MPO) are previews and depths
        frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
        mode, color, deep = image.mode, _has_color(image), is_deep(image)
        kind = "pages" if image.format == "TIFF" else "frames"
    notes = (f"{name}: the first of {frames} {kind} is read",) if frames > 1 else ()
    if not deep:
        return ImageInfo(name, width, height, mode, color, frames, notes=notes)
    loaded = load_deep(source, name)
    low, high = loaded.extremes(_rows_at_once(loaded.upper))
    return ImageInfo(name, width, height, mode, color, frames, True, low, high, notes)


def collect_notes(infos: Iterable[ImageInfo]) -> tuple[str, ...]:
    """What a person should know of how files were read: a sentence for each kind of file, with some names."""
    several = [info for info in infos if info.frames > 1]
    if len(several) < 2:
        return several[0].notes if several else ()
    names = ", ".join(f"{info.name} ({info.frames})" for info in several[:3])
    more = f" and {len(several) - 3} more" if len(several) > 3 else ""
    return (f"{len(several)} files have several pages or frames, of which the first is read: {names}{more}",)


def fit_image(image: Image.Image, height: int, width: int) -> Image.Image:
    """Scale an image into a frame, aspect kept; the rest is filled with its border's median colour.

    A strip that is too narrow for the frame stays at least one pixel wide.
    """
    size = (width, height)
    if image.width * height > image.height * width:
        size = (width, max(1, round(image.height / image.width * width)))
    elif image.width * height < image.height * width:
        size = (max(1, round(image.width / image.height * height)), height)
    scaled = image.resize(size, Image.Resampling.BILINEAR)
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


def prepare_image(
    path: Path, image_shape: tuple[int, int, int], preparation: Preparation, *, pixel_range: PixelRange | None = None
) -> UInt8[Tensor, "c h w"]:
    """Read an image file as the input of a model.

    Args:
        path: the file.
        image_shape: channels (1 or 3), height and width.
        preparation: `"digit"` as MNIST was made, `"fit"` scaled into the frame.
        pixel_range: values that become black and white, of a file of more than 8 bits; None: decided from this file.

    Shapes:
        result `c h w`.

    Raises:
        UserError: a file that cannot be read as an image, or a model of neither 1 nor 3 channels.
    """
    channels, height, width = image_shape
    if channels not in (1, 3):
        raise UserError(f"{printable_name(path)}: an image file has 1 or 3 channels, the model has {channels}")
    as_digit = preparation == "digit" and channels == 1
    side = max(height, width, _DIGIT_SIDE if as_digit else 0)
    image = open_image(path, color=channels == 3, pixel_range=pixel_range, side=side)
    pixels = np.array((digit_image if as_digit else fit_image)(image, height, width))
    return torch.from_numpy(pixels.reshape(height, width, channels)).permute(2, 0, 1)


def _decode(image: ImageFile.ImageFile, name: str, color: bool, side: int) -> Image.Image:
    """Decode an image of 8 bits, reduced towards `side`, with its opacity if it has any."""
    with refusing_damage(name):
        if image.mode == "LAB":
            raise UserError(f"{name}: its colours are CIELAB; convert it to RGB")
        if image.format in ("JPEG", "MPO"):
            _draft(image, color, side)
        image.load()
        mode = "RGBA" if image.has_transparency_data else "RGB" if color else "L"
        return _assemble(lambda top, bottom: _convert_rows(image, top, bottom, mode), image, mode, side)


def _draft(image: ImageFile.ImageFile, color: bool, side: int) -> None:
    """Have the JPEG decoder scale down by 2, 4 or 8, and leave out colours that are not needed."""
    longer = max(image.size)
    share = min(1.0, _MARGIN * side / longer) if side else 1.0
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    image.draft(None if color or image.mode != "RGB" else "L", size)


def _scale_deep(image: DeepImage, pixel_range: PixelRange | None, side: int) -> Image.Image:
    low, high = image.extremes(_rows_at_once(image.upper))
    info = ImageInfo(image.name, *image.upper.size, image.upper.mode, False, deep=True, low=low, high=high)
    chosen = pixel_range or decide_range([info]) or (0.0, 255.0)
    check_units(info, chosen)
    return _assemble(lambda top, bottom: image.rows(top, bottom, chosen), image.upper, image.mode, side)


def _convert_rows(image: Image.Image, top: int, bottom: int, mode: str) -> Image.Image:
    return image.crop((0, top, image.width, bottom)).convert(mode)


def _rows_at_once(image: Image.Image) -> int:
    return max(1, _BAND_PIXELS // image.width)


def _assemble(rows: Callable[[int, int], Image.Image], image: Image.Image, mode: str, side: int) -> Image.Image:
    """Convert an image some rows at a time, and reduce each part at once: memory holds no second image of its size."""
    factor = max(1, max(image.size) // (_MARGIN * side)) if side else 1
    result = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    step = max(1, _rows_at_once(image) // factor) * factor
    for top in range(0, image.height, step):
        part = rows(top, min(top + step, image.height))
        result.paste(part.reduce(factor) if factor > 1 else part, (0, top // factor))
    return result


def _finish(pixels: Image.Image, source: Image.Image, color: bool) -> Image.Image:
    """Fill transparent places, turn the image upright, and leave out colours that are not needed."""
    if pixels.mode == "RGBA":
        pixels = _fill_transparent(pixels)
    method = _UPRIGHT.get(_orientation(source, decoded=True))
    upright = pixels if method is None else pixels.transpose(method)
    return upright.convert("RGB" if color else "L")


def _orientation(image: Image.Image, *, decoded: bool) -> int:
    """How a camera was held, 1 to 8, by EXIF; 1 where that is missing or damaged.

    Args:
        image: an opened image.
        decoded: its pixels have been read; Pillow has turned a TIFF file upright then.
    """
    if not decoded and (image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info)):
        return 1
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, OSError, LookupError, TypeError, OverflowError):
        return 1
    return value if isinstance(value, int) else 1


def _has_color(image: Image.Image) -> bool:
    return image.mode not in _GREY_MODES


def _fill_transparent(image: Image.Image) -> Image.Image:
    """Lay an image on white, or on black if it would vanish on white."""
    small = np.asarray(image.reduce(max(1, max(image.size) // _GROUND_SIDE)), np.int32)
    alpha = small[:, :, 3]
    # strokes that are thin have been averaged with what is transparent around them
    visible = small[:, :, :3][(alpha > 0) & (2 * alpha >= alpha.max())] @ np.array([299, 587, 114]) / 1000
    vanishes = len(visible) > 0 and (visible < 128).mean() < 0.01
    result = Image.new("RGB", image.size, "black" if vanishes else "white")
    result.paste(image, mask=image)
    return result
