"""Supported image formats, and opening image files with one-line errors for damaged ones."""

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
    # this reader also reads MPO, several JPEG images in one .jpg file, which many phones write
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
# optional decoders of Pillow
_OPTIONAL = {"WEBP": "webp", "JPEG2000": "jpg_2000", "AVIF": "avif"}

FORMATS: tuple[str, ...] = tuple(name for name in _SUFFIXES if name not in _OPTIONAL or features.check(_OPTIONAL[name]))
"""Formats for `Image.open(formats=...)`. Pillow tries no others, so it never starts Ghostscript."""

SUFFIXES: frozenset[str] = frozenset(suffix for name in FORMATS for suffix in _SUFFIXES[name])
"""Suffixes of supported image files, in lower case."""

# lower limits for decoders that hold several copies of an image
_MAX_PIXELS_OF = {"WEBP": 32_000_000, "AVIF": 32_000_000, "JPEG2000": 24_000_000}
# the first frame of an animation must cover at least 1 / this of its area
_LEAST_SHARE = 20

# exceptions of Pillow's readers for damaged files
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


class _Quiet:
    """Warnings are ignored while any thread decodes: their filters are global to the process."""

    def __init__(self) -> None:
        self._lock, self._users, self._filters = threading.Lock(), 0, warnings.catch_warnings()

    def enter(self) -> None:
        with self._lock:
            if not self._users:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._filters.__exit__(None, None, None)


_quiet = _Quiet()
# Pillow also raises what it logs; without a handler it would be printed as well
logging.getLogger("PIL").addHandler(logging.NullHandler())


def printable_name(source: Source | str) -> str:
    """A file's name on one line, for messages, with unprintable characters escaped; "the image" for bytes."""
    if isinstance(source, BytesIO):
        return "the image"
    text = os.fsencode(source).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress Pillow's warnings: what they report is checked here or does not matter."""
    _quiet.enter()
    try:
        yield
    finally:
        _quiet.leave()


@contextmanager
def refusing_damage(name: str) -> Iterator[None]:
    """Turn every exception of a decoder into a one-line `UserError` that names the file; suppress warnings."""
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
        raise UserError(f"{name} cannot be read (permission denied); change its permissions") from None
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
        name: the image's name, for messages and its suffix.

    Raises:
        UserError: a file that is missing, empty, of another format, damaged, or of too many pixels.
    """
    # TGA files have no signature, and their reader accepts some files of other formats
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
    """Refuse an animation with an incorrect size: nearly all of the image would be background."""
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
        return "is not an image in a supported format (HEIC); export it as JPEG or PNG"
    return "is not an image in a supported format (PNG, JPEG, BMP, GIF, WebP, TIFF, PPM, TGA, JPEG 2000, AVIF)"
