"""Image formats that are read, and image files opened so that a damaged one is refused in one line."""

import logging
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageFile, UnidentifiedImageError, features

from capsnet.errors import UserError

Source = Path | BytesIO

MAX_PIXELS = 64_000_000

_SUFFIXES = {
    "PNG": (".png",),
    # its reader also reads MPO: several JPEG images in a file that is named .jpg, as many phones write them
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "JPEG2000": (".jp2", ".j2k"),
    "AVIF": (".avif",),
    "TGA": (".tga",),
}
# decoders that Pillow may have been built without
_OPTIONAL = {"WEBP": "webp", "JPEG2000": "jpg_2000", "AVIF": "avif"}

FORMATS: tuple[str, ...] = tuple(name for name in _SUFFIXES if name not in _OPTIONAL or features.check(_OPTIONAL[name]))
"""Formats for `Image.open(formats=...)`: Pillow tries no other, and so starts no other program (Ghostscript)."""

SUFFIXES: frozenset[str] = frozenset(suffix for name in FORMATS for suffix in _SUFFIXES[name])
"""Endings of the files that are read, in lower case."""

# these decoders hold several copies of a whole image
_MAX_PIXELS_OF = {"WEBP": 32_000_000, "AVIF": 32_000_000, "JPEG2000": 24_000_000}
# the first frame of an animation covers at least one part in so many of its area
_LEAST_SHARE = 20

# what Pillow's readers raise on damaged files
_FAULTS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    LookupError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_quiet = threading.RLock()
# faults are raised as well; without a handler they would also be printed
logging.getLogger("PIL").addHandler(logging.NullHandler())


def printable_name(source: Source | str) -> str:
    """The name of a file for a message: one line, whatever bytes it is made of; "the image" where it has none."""
    if isinstance(source, BytesIO):
        return "the image"
    text = os.fsencode(source).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep Pillow from printing warnings of what is checked here or makes no difference."""
    # the filters of warnings belong to the process
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def refusing_damage(name: str) -> Iterator[None]:
    """Turn every fault of a decoder into a `UserError` of one line that names the file, and print no warnings."""
    try:
        with without_warnings():
            yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{name} is a folder, not an image file") from None
    except PermissionError:
        raise UserError(f"{name} may not be read; change its permissions") from None
    except Image.DecompressionBombError:
        raise UserError(f"{name} has too many pixels to decode safely; shrink it below 64 MP") from None
    except MemoryError:
        raise UserError(f"{name} is a damaged image, or one that needs more memory than there is") from None
    except _FAULTS as fault:
        reason = " ".join(str(fault).split()) or type(fault).__name__
        raise UserError(f"{name} is a damaged image ({reason})") from None


@contextmanager
def open_header(source: Source, name: str) -> Iterator[ImageFile.ImageFile]:
    """Open an image file of one of `FORMATS` and read its header; no pixel is decoded.

    Args:
        source: the file, or its contents.
        name: of the image, for messages and for its ending.

    Raises:
        UserError: a file that is missing, empty, of another format, damaged, or of too many pixels.
    """
    # a TGA file has no mark at its start: its reader takes some files of other kinds for its own
    formats = [kind for kind in FORMATS if kind != "TGA" or name.lower().endswith(_SUFFIXES["TGA"])]
    with refusing_damage(name):
        try:
            image = Image.open(source, formats=formats)
        except UnidentifiedImageError:
            raise UserError(f"{name} {_why_unknown(source)}") from None
    with image:
        _check_size(image, name)
        _check_first_frame(image, name)
        yield image


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    most = min(MAX_PIXELS, _MAX_PIXELS_OF.get(image.format or "", MAX_PIXELS))
    if width < 1 or height < 1:
        raise UserError(f"{name} is a damaged image (it has {width}x{height} pixels)")
    if width * height > most:
        kind = "" if most == MAX_PIXELS else f" of a {image.format} file"
        raise UserError(
            f"{name}: {width}x{height} pixels{kind} are too many to decode safely; shrink it below {most // 10**6} MP"
        )


def _check_first_frame(image: ImageFile.ImageFile, name: str) -> None:
    """Refuse a GIF with a wrong size: nearly all of the image would be background."""
    if image.format != "GIF" or not image.tile:
        return
    left, top, right, bottom = image.tile[0].extents or (0, 0, *image.size)
    if (right - left) * (bottom - top) * _LEAST_SHARE < image.width * image.height:
        raise UserError(
            f"{name} is a damaged image (its first frame covers {right - left}x{bottom - top} of "
            f"{image.width}x{image.height} pixels)"
        )


def _why_unknown(source: Source) -> str:
    if isinstance(source, BytesIO):
        start = source.getvalue()[:16]
    else:
        with source.open("rb") as file:
            start = file.read(16)
    if not start:
        return "is empty"
    if start[4:8] == b"ftyp" and start[8:11] in (b"hei", b"hev", b"mif", b"msf"):
        return "is not an image that capsnet reads (HEIC); export it as JPEG or PNG"
    return "is not an image that capsnet reads (PNG, JPEG, BMP, GIF, WebP, TIFF, PPM, TGA, JPEG 2000, AVIF)"
