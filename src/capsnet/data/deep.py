"""Image files of more than 8 bits: their full raw values, of which Pillow alone would keep the upper 8 bits."""

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from capsnet.data.formats import Source, open_header, refusing_damage
from capsnet.data.pixels import PixelRange
from capsnet.errors import UserError

_BITS, _PHOTOMETRIC, _PLANES, _SAMPLE_FORMAT = 258, 262, 284, 339
_WHITE_IS_ZERO, _SEPARATE, _UNSIGNED, _SIGNED = 0, 2, 1, 2
# Pillow decodes 16-bit grey with alpha as colours
_PACKED = "LA;16B"
# Pillow keeps the first of two bytes; in the opposite byte order that is the lower one
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


@dataclass(frozen=True)
class DeepImage:
    """The raw values of a decoded image of more than 8 bits.

    Args:
        name: the file's name, for messages.
        upper: the image as Pillow decodes it; for 16-bit colours the upper 8 bits.
        lower: the lower 8 bits of 16-bit colours; None for other images.
        signed: whether values of 8 bits are signed.
        unsigned: whether values of 32 bits are unsigned.
        packed: whether the four channels of `upper` are the upper and lower 8 bits of grey, then those of alpha.
        inverted: whether low values are light.
        key: the raw value of transparent pixels; None: there are none.
    """

    name: str
    upper: Image.Image
    lower: Image.Image | None = None
    signed: bool = False
    unsigned: bool = False
    packed: bool = False
    inverted: bool = False
    key: tuple[int, ...] | None = None

    @property
    def mode(self) -> str:
        """Mode of the rows in 8 bits: `"L"`, `"RGB"` or `"RGBA"`."""
        if self.upper.mode == "RGBA" or self.key is not None:
            return "RGBA"
        return "RGB" if self.upper.mode == "RGB" else "L"

    def extremes(self, rows: int) -> PixelRange:
        """The smallest and the largest value of all pixels that are not transparent.

        Args:
            rows: number of rows to process at once.

        Raises:
            UserError: a pixel that is not a finite number.
        """
        lows, highs = [], []
        for top in range(0, self.upper.height, rows):
            values, alpha = self._values(top, top + rows)
            if alpha is not None:
                values = values[alpha > 0]
            if values.size:
                lows.append(float(values.min()))
                highs.append(float(values.max()))
        low, high = min(lows, default=0.0), max(highs, default=0.0)
        # the minimum of values with a NaN among them is NaN
        if not np.isfinite([*lows, *highs]).all():
            raise UserError(f"{self.name} has pixels that are not finite numbers (NaN or infinity); replace them")
        return low, high

    def rows(self, top: int, bottom: int, pixel_range: PixelRange) -> Image.Image:
        """The rows from `top` to `bottom` in 8 bits: `pixel_range` becomes 0 and 255, values outside are clipped."""
        values, alpha = self._values(top, bottom)
        low, high = pixel_range
        levels = np.rint(((values.astype(np.float64) - low) / (high - low)).clip(0, 1) * 255).astype(np.uint8)
        if self.inverted:
            levels = 255 - levels
        if alpha is not None:
            levels = np.concatenate([np.broadcast_to(levels, (*alpha.shape, 3)), alpha[:, :, None]], axis=2)
        return Image.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels)

    def _values(self, top: int, bottom: int) -> tuple[np.ndarray, NDArray[np.uint8] | None]:
        """Raw values of some rows, and their alpha if the image has transparent pixels."""
        box = (0, top, self.upper.width, min(bottom, self.upper.height))
        values = np.atleast_3d(np.asarray(self.upper.crop(box)))
        if self.packed:
            return values[:, :, :1].astype(np.uint16) * 256 + values[:, :, 1:2], values[:, :, 2]
        if self.lower is not None:
            values = values.astype(np.uint16) * 256 + np.atleast_3d(np.asarray(self.lower.crop(box)))
        if self.signed:
            values = values.view(np.int8)
        if self.unsigned:
            values = values.view(np.uint32)
        if self.key is not None:
            return values, np.where((values == np.array(self.key)).all(axis=2), 0, 255).astype(np.uint8)
        if self.upper.mode == "RGBA":
            return values[:, :, :3], (values[:, :, 3] // 257).astype(np.uint8)
        return values, None


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether an opened image has more than 8 bits for each value, floats, or signed values."""
    return image.mode[:1] in "IF" or _is_signed(image) or _has_planes(image) or bool(_raw_colors(image))


def load_deep(source: Source, name: str) -> DeepImage:
    """Decode a file for which `is_deep` is true.

    Raises:
        UserError: a damaged file, or one whose 16-bit colours lie in separate planes.
    """
    with open_header(source, name) as image, refusing_damage(name):
        if _has_planes(image):
            raise UserError(f"{name}: its colours of 16 bits lie in separate planes; save it with interleaved pixels")
        raw = _raw_colors(image)
        packed = raw == _PACKED
        if packed:
            _decode_as(image, "RGBA")
        unsigned = image.mode == "I" and _tag(image, _BITS) == 32 and _tag(image, _SAMPLE_FORMAT, _UNSIGNED) == 1
        signed, inverted = _is_signed(image), _tag(image, _PHOTOMETRIC, -1) == _WHITE_IS_ZERO
        image.load()
        key = image.info.get("transparency")
    lower = _load_lower(source, name, raw) if raw and not packed else None
    keys = None if key is None else tuple(key) if isinstance(key, tuple) else (int(key),)
    return DeepImage(name, image, lower, signed, unsigned, packed, inverted, keys)


def _load_lower(source: Source, name: str, raw: str) -> Image.Image:
    with open_header(source, name) as image, refusing_damage(name):
        _decode_as(image, raw[:-1] + _OTHER_ORDER[raw[-1]])
        image.load()
        return image


def _decode_as(image: ImageFile.ImageFile, raw: str) -> None:
    """Make an image's decoder read its bytes in another raw mode."""
    tiles = [(tile, tile.args or ()) for tile in image.tile]
    image.tile = [tile._replace(args=raw if isinstance(old, str) else (raw, *old[1:])) for tile, old in tiles]


def _raw_colors(image: ImageFile.ImageFile) -> str:
    """Pillow's raw mode of 16-bit colours of which it keeps the upper 8 bits only; empty for other images."""
    if image.mode not in ("RGB", "RGBA") or image.format not in ("PNG", "TIFF") or not image.tile:
        return ""
    arguments = image.tile[0].args or ("",)
    raw: str = arguments if isinstance(arguments, str) else arguments[0]
    return raw if raw == _PACKED or raw[:-1] in ("RGB;16", "RGBA;16", "RGBX;16") else ""


def _is_signed(image: ImageFile.ImageFile) -> bool:
    return image.mode == "L" and _tag(image, _SAMPLE_FORMAT) == _SIGNED


def _has_planes(image: ImageFile.ImageFile) -> bool:
    return _tag(image, _PLANES) == _SEPARATE and _tag(image, _BITS) == 16 and image.mode in ("RGB", "RGBA")


def _tag(image: ImageFile.ImageFile, number: int, default: int = 0) -> int:
    """The first value of a tag of a TIFF file, or `default`."""
    tags = image.tag_v2 if image.format == "TIFF" else {}  # type: ignore[attr-defined] # only TIFF has it
    value = tags.get(number, default)
    return int(value[0] if isinstance(value, tuple) else value)
