"""A folder of images/ and masks/: your own data for segmentation, with a class number at each pixel of a mask."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image, ImageFile
from torch import Tensor

from capsnet.data.formats import SUFFIXES, open_header, printable_name, refusing_damage
from capsnet.data.images import open_image, probe_image
from capsnet.data.labels import read_class_list
from capsnet.data.pixels import PixelRange, decide_range
from capsnet.errors import UserError

# formats that store pixels as they are
_EXACT = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm")
_WHITE = 255
# numbers of classes that no pixel has, up to which masks without class names are accepted
_MOST_UNUSED = 8
NAMES_FILE = "classes.txt"
"""An optional file beside images/ and masks/: the name of class 1 in the first line, and so on."""


@dataclass(frozen=True)
class MaskFolder:
    """Images with a class number at each pixel; a data set for `torch.utils.data.DataLoader`.

    Args:
        images: pixels.
        masks: 0 for the background, k for the class `class_names[k - 1]`.
        class_names: a name for each class; the background has none.
        files: the file of each image, relative to the folder.
        pixel_range: values that became black and white, of files of more than 8 bits; None: they have 8.

    Shapes:
        images `m c h w`, masks `m h w`.
    """

    images: UInt8[Tensor, "m c h w"]
    masks: UInt8[Tensor, "m h w"]
    class_names: tuple[str, ...]
    files: tuple[str, ...]
    pixel_range: PixelRange | None = None

    def pick(self, rows: Int[Tensor, " r"]) -> "MaskFolder":
        """Some of the images with their masks."""
        files = tuple(self.files[row] for row in rows.tolist())
        return replace(self, images=self.images[rows], masks=self.masks[rows], files=files)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "c h w"], Bool[Tensor, "n h w"]]:
        """An image in [0, 1], and the mask of each class."""
        numbers = torch.arange(1, len(self.class_names) + 1)[:, None, None]
        return self.images[index].float() / 255, self.masks[index] == numbers

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width: `image_shape` of a model."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width


def read_mask_folder(
    folder: str | Path,
    *,
    size: tuple[int, int] | None = None,
    color: bool | None = None,
    class_names: Sequence[str] | None = None,
    pixel_range: PixelRange | None = None,
) -> MaskFolder:
    """Read images/NAME.jpg and masks/NAME.png for each name.

    The value of a mask's pixel is its class: 0 is the background. In masks of 0 and 255 only, 255 is the one class.
    Masks are 8-bit grey or palette images.

    Args:
        folder: holds images/ and masks/.
        size: height and width to which all are scaled, images bilinearly, masks to the nearest pixel; the aspect ratio
            is not kept. None: all images must have one size.
        color: three channels or one; None: three if any image has colours.
        class_names: None: the lines of classes.txt in the folder; without that file "1", "2" and so on, up to the
            largest value of all masks.
        pixel_range: values that become black and white, of files of more than 8 bits; None: decided once for all files.

    Raises:
        UserError: a missing folder or file, a file that cannot be read, sizes that differ, values without a class, or,
            without class names, masks that leave out most numbers, which are often grey levels.

    Example:
        >>> data = read_mask_folder("scans", size=(128, 128))
        >>> model = create_segmenter("unet", image_shape=data.image_shape, num_classes=len(data.class_names))
        >>> loader = torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)
    """
    root = Path(folder)
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise UserError(f"size must be a height and a width of at least 1, got {size!r}")
    pairs = match_files(root)
    infos = [probe_image(image) for image, _ in pairs]
    color = any(info.color for info in infos) if color is None else color
    pixel_range = pixel_range or decide_range(infos)
    images: list[Image.Image] = []
    masks: list[Image.Image] = []
    counts: list[Int[np.ndarray, " 256"]] = []
    for image_file, mask_file in pairs:
        image, mask = open_image(image_file, color=color, pixel_range=pixel_range), open_mask(mask_file)
        check_size(mask_file, mask.size, image.size)
        # classes are those of whole masks: scaling may remove small objects
        counts.append(count_values(mask))
        if size is not None:
            image = image.resize(size[::-1], Image.Resampling.BILINEAR)
            mask = mask.resize(size[::-1], Image.Resampling.NEAREST)
        elif images and image.size != images[0].size:
            sizes = f"{image.width}x{image.height} pixels, {pairs[0][0].name} {images[0].width}x{images[0].height}"
            raise UserError(f"{printable_name(image_file)} has {sizes}; scale all with size=(height, width)")
        images.append(image)
        masks.append(mask)
    classes = find_classes(root, np.stack(counts), [mask for _, mask in pairs], class_names)
    values = np.stack([np.asarray(mask, dtype=np.uint8) for mask in masks]) // (_WHITE if classes.is_white else 1)
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images]))
    pixels = pixels.permute(0, 3, 1, 2).contiguous() if color else pixels[:, None]
    files = tuple(str(image.relative_to(root)) for image, _ in pairs)
    return MaskFolder(pixels, torch.from_numpy(values), classes.names, files, pixel_range)


def match_files(root: Path) -> list[tuple[Path, Path]]:
    """Each image with its mask, in the order of names.

    Raises:
        UserError: a missing folder, or a file without its partner.
    """
    images, masks = _list(root / "images", SUFFIXES), _list(root / "masks", SUFFIXES)
    where = printable_name(root)
    if not images:
        raise UserError(f"{where} has no image in images/; put each image there and its mask into masks/")
    for name, file in masks.items():
        if file.suffix.lower() not in _EXACT:
            raise UserError(f"{printable_name(file)} is not exact: its format changes class numbers; save masks as PNG")
        if name not in images:
            raise UserError(f"{printable_name(file)} has no image of the same name in images/")
    for name, file in images.items():
        if name not in masks:
            raise UserError(f"{printable_name(file)} has no mask; save it as masks/{printable_name(name)}.png")
    return [(images[name], masks[name]) for name in sorted(images)]


def _list(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    if not folder.is_dir():
        where = printable_name(folder.parent)
        raise UserError(f"{where} has no folder {folder.name}/; it needs images/ and masks/ with the same file names")
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in suffixes or file.name.startswith("."):
            continue
        if file.stem in files:
            other = printable_name(files[file.stem].name)
            raise UserError(f"{printable_name(file)} and {other} have the same name; keep one of them")
        files[file.stem] = file
    return files


def open_mask(file: Path) -> Image.Image:
    """The class number at each pixel of a mask.

    Raises:
        UserError: a file that cannot be read, or is no 8-bit grey or palette image.
    """
    name = printable_name(file)
    with open_header(file, name) as image, refusing_damage(name):
        largest = _largest_grey(image)
        image.load()
        mode = image.mode
        if mode in ("1", "L", "P"):
            # the numbers of a palette, not its colours
            values = np.asarray(image).astype(np.uint8)
            if largest != _WHITE:
                values = np.rint(values * (largest / _WHITE)).astype(np.uint8)
            return Image.fromarray(values)
    raise UserError(f"{name} has mode {mode}; a mask is an 8-bit grey or palette image with a class number per pixel")


def _largest_grey(image: Image.Image) -> int:
    """The largest number that a grey image can hold; if it is below 255, Pillow stretches all numbers to 0 to 255."""
    if not isinstance(image, ImageFile.ImageFile) or not image.tile:
        return _WHITE
    args = image.tile[0][3]
    raw, *others = args if isinstance(args, tuple) else (args,)
    # 2 or 4 bits of PNG and TIFF; PGM names its largest number
    if image.format == "PPM" and len(others) == 1 and isinstance(others[0], int):
        return min(others[0], _WHITE) or _WHITE
    return {"L;2": 3, "L;4": 15}.get(str(raw), _WHITE)


def check_size(mask_file: Path, mask: tuple[int, int], image: tuple[int, int]) -> None:
    """Refuse a mask that is not as large as its image; sizes are width and height.

    Raises:
        UserError: it is not.
    """
    if mask != image:
        sizes = f"{mask[0]}x{mask[1]} pixels, its image {image[0]}x{image[1]}"
        raise UserError(f"{printable_name(mask_file)} has {sizes}; they must be equal")


def count_values(mask: Image.Image) -> Int[np.ndarray, " 256"]:
    """The number of pixels of each value."""
    return np.bincount(np.asarray(mask, dtype=np.uint8).ravel(), minlength=_WHITE + 1)


class MaskClasses(NamedTuple):
    """The classes of a folder of masks.

    Args:
        names: of the classes.
        is_white: whether the value of the one class is 255, not 1.
    """

    names: tuple[str, ...]
    is_white: bool


def find_classes(
    root: Path, counts: Int[np.ndarray, "m 256"], masks: Sequence[Path], class_names: Sequence[str] | None
) -> MaskClasses:
    """The names of the classes: those given, those of classes.txt, or numbers up to the largest value.

    Args:
        root: the folder, which may hold classes.txt.
        counts: pixels of each value in each mask.
        masks: the files.
        class_names: None: see above.

    Raises:
        UserError: no class, a value without a class, or values that look like grey levels.
    """
    values = np.flatnonzero(counts.sum(axis=0))
    largest = int(values.max())
    if largest == 0:
        raise UserError(f"{printable_name(root / 'masks')} marks nothing: all pixels are 0, the background")
    given = class_names if class_names is not None else read_class_list(root / NAMES_FILE)
    # of several classes, 255 does not say which
    is_white = set(values.tolist()) <= {0, _WHITE} and (given is None or len(given) == 1)
    if is_white:
        largest = 1
    names = tuple(given) if given is not None else tuple(str(k + 1) for k in range(largest))
    if largest > len(names) or (given is None and largest == _WHITE):
        first = next(file for file, row in zip(masks, counts, strict=True) if row[largest])
        if largest == _WHITE:
            why = "255 marks unlabelled pixels in some data sets: set them to 0, or to the number of a class"
        else:
            why = f"{'class_names' if class_names is not None else NAMES_FILE} has {len(names)} names, for the values "
            why += f"1 to {len(names)}"
        raise UserError(f"{printable_name(first)} has the value {largest}; {why}")
    used = [str(value) for value in values if value > 0]
    unused = largest - len(used)
    if given is None and unused > max(largest // 2, _MOST_UNUSED):
        shown = ", ".join(used[:5]) + (" and more" if len(used) > 5 else "")
        raise UserError(
            f"the pixels of {printable_name(root / 'masks')} have the values {shown}, of {largest} classes; number the "
            f"classes 1, 2 and so on (0 is the background), or name all {largest} in {NAMES_FILE}, one in each line"
        )
    return MaskClasses(names, is_white)
