"""`capsnet data`."""

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from capsnet.cli.console import bar, print_json
from capsnet.cli.parse import parse
from capsnet.data import Dataset, ImageData, load_data
from capsnet.errors import UserError
from capsnet.training.files import write_bytes

_SHADES = " ░▒▓█"


@dataclass(frozen=True)
class Data:
    """Count the images of a data set, draw a histogram of its classes and show samples.

    Examples:
      capsnet data mnist --figure mnist.png
      capsnet data photos/ --image-size 48
    """

    name: tyro.conf.Positional[str]
    """A data set (capsnet list data), or a folder with a folder of images for each class."""
    data_dir: Path | None = None
    """Folder that holds named data sets."""
    image_size: int = 32
    """Side to which one's own images are scaled."""
    skip_unreadable: bool = False
    """Leave out files of an image folder that are no images."""
    figure: Path | None = None
    """Draw the histogram and samples into this PNG file."""
    json: bool = False
    """Print one JSON object."""


def main(args: list[str]) -> None:
    """Load, count, print, draw."""
    options = parse(Data, args)
    if options.figure is not None and options.figure.exists():
        raise UserError(f"{options.figure}: exists; give another --figure")
    dataset = load_data(
        options.name,
        data_dir=options.data_dir,
        image_size=options.image_size,
        skip_unreadable=options.skip_unreadable,
    )
    if options.figure is not None:
        from capsnet.figures.data import draw_data
        from capsnet.figures.style import to_png

        write_bytes(options.figure, to_png(draw_data(dataset)))
    if options.json:
        print_json(_counts(dataset))
    else:
        _print(dataset)
        if options.figure is not None:
            print(f"figure: {options.figure}")


def _counts(dataset: Dataset) -> dict[str, object]:
    return {
        "data": dataset.name,
        "image_shape": list(dataset.train.image_shape),
        "class_names": list(dataset.train.class_names),
        "train": dataset.train.counts(),
        "test": dataset.test.counts(),
    }


def _print(dataset: Dataset) -> None:
    shape = "x".join(map(str, dataset.train.image_shape))
    print(
        f"{dataset.name}: {len(dataset.train):,} training and {len(dataset.test):,} test images, {shape} "
        "(channels x height x width)\n"
    )
    rows = list(zip(dataset.train.class_names, dataset.train.counts(), dataset.test.counts(), strict=True))
    width = max(5, *(len(name) for name, _, _ in rows))
    most = max(train for _, train, _ in rows)
    print(f"{'class':{width}}  {'train':>7}  {'test':>7}")
    for name, train, test in rows:
        print(f"{name:{width}}  {train:>7,}  {test:>7,}  {bar(train / most)}")
    print()
    print(_samples(dataset.train))


def _samples(data: ImageData, count: int = 4) -> str:
    """A few images side by side in five shades, 18 characters wide and 9 lines high each."""
    first = [int((data.labels == label).nonzero()[0]) for label in range(min(count, len(data.class_names)))]
    images = data.images[first].float().mean(dim=1, keepdim=True)
    small = torch.nn.functional.interpolate(images, (9, 18), mode="area")[:, 0] / 256 * len(_SHADES)
    pictures = [["".join(_SHADES[int(value)] for value in row) for row in image] for image in small]
    return "\n".join("  ".join(lines) for lines in zip(*pictures, strict=True))
