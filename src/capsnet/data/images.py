"""Open image files safely, and convert them to model inputs."""

from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from capsnet.bounds import check_choice
from capsnet.data.deep import DeepImage, is_deep, load_deep
from capsnet.data.formats import FORMATS as FORMATS
from capsnet.data.formats import SUFFIXES as SUFFIXES
from capsnet.data.formats import Source, open_header, printable_name, refusing_damage
from capsnet.data.photo import WORK_SIDE, center_digit
from capsnet.data.pixels import ImageInfo as ImageInfo
from capsnet.data.pixels import PixelRange, Preparation, check_range, check_units, decide_range
from capsnet.errors import UserError

# images are reduced to at least this multiple of the required side: the mean error is below one grey level
_MARGIN = 3
# number of pixels converted at once
_BAND_PIXELS = 500_000
# side of the thumbnail on which the background of transparent images is chosen
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
    """Open an image file as 8-bit grey or colour, upright, with transparent pixels filled.

    Transparent pixels become white, or black if fewer than 1 % of the visible pixels are darker than mid-grey: white
    strokes would vanish on white.

    Args:
        source: the file, or its contents.
        color: whether the model has colour inputs.
        name: the image's name, for messages; empty: the file's name.
        pixel_range: values that become black and white, for files of more than 8 bits; None: decided from this file.
        side: pixels that the caller needs along the longer side; the result has at least these, up to three times as
            many or more. 0: the image keeps its size.

    Raises:
        UserError: a file that is missing, of another format, damaged, of more than 64 million pixels, or with pixels
            that are not finite.
    """
    name = printable_name(name or source)
    if pixel_range is not None:
        check_range(pixel_range)
    with open_header(source, name) as image:
        with refusing_damage(name):
            deep = is_deep(image)
        if not deep:
            return _finish(_decode(image, name, color, side), image, name, color)
    loaded = load_deep(source, name)
    return _finish(_scale_deep(loaded, pixel_range, side), loaded.upper, name, color)


def open_picture(image: Image.Image, *, color: bool, pixel_range: PixelRange | None = None) -> Image.Image:
    """A Pillow image as `open_image` returns that of a file.

    Args:
        image: of any size and mode.
        color: whether the model has colour inputs.
        pixel_range: values that become black and white, for a picture of more than 8 bits; None: decided from it.

    Raises:
        UserError: pixels that are not finite, or damaged data of an image that was opened from a file.
    """
    name = "the image"
    with refusing_damage(name):
        image.load()
        if image.mode[:1] in "IF":
            content = BytesIO()
            image.save(content, "TIFF")
            return open_image(BytesIO(content.getvalue()), color=color, name=name, pixel_range=pixel_range)
        pixels = image.convert("RGBA") if image.has_transparency_data else image
    return _finish(pixels, image, name, color)


def probe_image(source: Source, name: str = "") -> ImageInfo:
    """Read an image file's header, and the extreme values of a file of more than 8 bits.

    Args:
        source: the file, or its contents.
        name: the image's name, for messages; empty: the file's name.

    Raises:
        UserError: as `open_image`, except that damaged pixels of an 8-bit file are not detected.
    """
    name = printable_name(name or source)
    with open_header(source, name) as image, refusing_damage(name):
        width, height = image.size
        if _orientation(image, name, decoded=False) >= 5:
            width, height = height, width
        # the other images of an MPO photo are previews and depth maps
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
    """Remarks for the user on files with several pages or frames, with some of their names."""
    several = [info for info in infos if info.frames > 1]
    if len(several) < 2:
        return several[0].notes if several else ()
    names = ", ".join(f"{info.name} ({info.frames})" for info in several[:3])
    more = f" and {len(several) - 3} more" if len(several) > 3 else ""
    return (f"{len(several)} files have several pages or frames, of which the first is read: {names}{more}",)


def fit_image(image: Image.Image, height: int, width: int) -> Image.Image:
    """Scale an image into a frame with its aspect ratio kept; the rest has the median colour of the image's border.

    Width and height of the scaled image are at least one pixel.
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


def fit_pixels(
    image: Image.Image, image_shape: tuple[int, int, int], preparation: Preparation
) -> tuple[NDArray[np.uint8], int | None]:
    """Convert an image to the shape and preparation of a model's data set.

    Args:
        image: an image of any size.
        image_shape: channels (1 or 3), height and width of the result.
        preparation: `"digit"`: as MNIST was made, all black if there is no digit; `"fit"`: scaled into the frame.
            Colour images are always scaled.

    Returns:
        The pixels, `c h w`, and the number of separate pieces of ink side by side: 0 without a digit, None for `"fit"`.
    """
    channels, height, width = image_shape
    gray_or_color, pieces = image.convert("L" if channels == 1 else "RGB"), None
    if is_digit(image_shape, preparation):
        digit = center_digit(gray_or_color, height, width)
        frame, pieces = digit.image, digit.pieces
    else:
        frame = fit_image(gray_or_color, height, width)
    return np.array(frame).reshape(height, width, channels).transpose(2, 0, 1), pieces


def read_pixels(
    source: Source,
    image_shape: tuple[int, int, int],
    preparation: Preparation,
    *,
    pixel_range: PixelRange | None = None,
    name: str = "",
) -> tuple[NDArray[np.uint8], int | None]:
    """Read an image file as the input of a model; see `fit_pixels`.

    Args:
        source: the file, or its contents.
        image_shape: channels, height and width of the result.
        preparation: `"digit"` or `"fit"`, see `fit_pixels`.
        pixel_range: values that become black and white, for a file of more than 8 bits; None: decided from this file.
        name: the image's name in messages; empty: the file's.

    Raises:
        UserError: a file that cannot be read as an image.
    """
    channels, height, width = image_shape
    side = max(height, width, WORK_SIDE if is_digit(image_shape, preparation) else 0)
    image = open_image(source, color=channels == 3, name=name, pixel_range=pixel_range, side=side)
    return fit_pixels(image, image_shape, preparation)


def is_digit(image_shape: tuple[int, int, int], preparation: Preparation) -> bool:
    """Whether images are prepared as MNIST was; colour images never are.

    Raises:
        UserError: an unknown preparation.
    """
    check_choice("preparation", preparation, Preparation)
    return preparation == "digit" and image_shape[0] == 1


def choose_range(
    files: Iterable[Path | str], own: PixelRange | None, given: PixelRange | None = None
) -> tuple[PixelRange | None, list[ImageInfo]]:
    """One range of pixel values for several files, and their header information.

    The range is `given`, else the model's own, else decided from all readable files.

    Args:
        files: image files.
        own: the range that the model was trained with, or None.
        given: the range that the user gives, or None.

    Raises:
        UserError: no single range fits the files, or `given` is not two finite numbers in order.
    """
    if given is not None:
        check_range(given)
    infos = []
    for file in files:
        try:
            infos.append(probe_image(Path(file)))
        except UserError:
            # reading the file raises this error again
            continue
    return given or own or decide_range(infos), infos


def _decode(image: ImageFile.ImageFile, name: str, color: bool, side: int) -> Image.Image:
    """Decode an 8-bit image, reduced towards `side`, with its alpha channel if it has one."""
    with refusing_damage(name):
        if image.mode == "LAB":
            raise UserError(f"{name}: its colours are CIELAB; convert it to RGB")
        if image.format in ("JPEG", "MPO"):
            _draft(image, color, side)
        image.load()
        mode = "RGBA" if image.has_transparency_data else "RGB" if color else "L"
        if not side and image.mode == mode:
            return image
        return _assemble(lambda top, bottom: _convert_rows(image, top, bottom, mode), image, mode, side)


def _draft(image: ImageFile.ImageFile, color: bool, side: int) -> None:
    """Make the JPEG decoder scale down by 2, 4 or 8, and skip colours that are not needed."""
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
    """Convert and reduce an image in blocks of rows, so that memory never holds a second image of its size."""
    factor = max(1, max(image.size) // (_MARGIN * side)) if side else 1
    result = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    step = max(1, _rows_at_once(image) // factor) * factor
    for top in range(0, image.height, step):
        part = rows(top, min(top + step, image.height))
        result.paste(part.reduce(factor) if factor > 1 else part, (0, top // factor))
    return result


def _finish(pixels: Image.Image, source: Image.Image, name: str, color: bool) -> Image.Image:
    """Fill transparent pixels, turn the image upright, and convert to grey if colours are not needed."""
    if pixels.mode == "RGBA":
        pixels = _fill_transparent(pixels)
    method = _UPRIGHT.get(_orientation(source, name, decoded=True))
    upright = pixels if method is None else pixels.transpose(method)
    mode = "RGB" if color else "L"
    return upright if upright.mode == mode else upright.convert(mode)


def _orientation(image: Image.Image, name: str, *, decoded: bool) -> int:
    """The EXIF orientation, 1 to 8; 1 if it is missing.

    Args:
        image: an opened image.
        name: the image's name, for messages.
        decoded: whether its pixels have been read: Pillow then has turned a TIFF file upright.

    Raises:
        UserError: unreadable EXIF data: the image might need to be rotated.
    """
    if not decoded and (image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info)):
        return 1
    with refusing_damage(name):
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) else 1


def _has_color(image: Image.Image) -> bool:
    return image.mode not in _GREY_MODES


def _fill_transparent(image: Image.Image) -> Image.Image:
    """Paint an image on white, or on black if it would vanish on white."""
    small = np.asarray(image.reduce(max(1, max(image.size) // _GROUND_SIDE)), np.int32)
    alpha = small[:, :, 3]
    # thin strokes have been averaged with transparent pixels around them
    visible = small[:, :, :3][(alpha > 0) & (2 * alpha >= alpha.max())] @ np.array([299, 587, 114]) / 1000
    vanishes = len(visible) > 0 and (visible < 128).mean() < 0.01
    result = Image.new("RGB", image.size, "black" if vanishes else "white")
    result.paste(image, mask=image)
    return result
