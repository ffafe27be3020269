"""`capsnet data`."""

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from capsnet.cli.console import bar, print_json
from capsnet.cli.parse import parse
from capsnet.data import Dataset, load_data
from capsnet.data.examples import example_images
from capsnet.errors import UserError
from capsnet.runs.files import write_bytes

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
    counts: dict[str, object] = {
        "data": dataset.name,
        "image_shape": list(dataset.input_shape),
        "class_names": list(dataset.train.class_names),
        "train": dataset.train.counts(),
        "test": dataset.test.counts(),
    }
    if dataset.pairing is not None:
        counts["test_pairs"] = len(dataset.test) * dataset.pairing.pairs_per_digit
    return counts


def _print(dataset: Dataset) -> None:
    print(_describe(dataset) + "\n")
    rows = list(zip(dataset.train.class_names, dataset.train.counts(), dataset.test.counts(), strict=True))
    width = max(5, *(len(name) for name, _, _ in rows))
    most = max(train for _, train, _ in rows)
    print(f"{'class':{width}}  {'train':>7}  {'test':>7}")
    for name, train, test in rows:
        print(f"{name:{width}}  {train:>7,}  {test:>7,}  {bar(train / most)}")
    print()
    print(_samples(dataset))


def _describe(dataset: Dataset) -> str:
    shape = "x".join(map(str, dataset.input_shape))
    sizes = f"{shape} (channels x height x width)"
    if dataset.pairing is None:
        return f"{dataset.name}: {len(dataset.train):,} training and {len(dataset.test):,} test images, {sizes}"
    return (
        f"{dataset.name}: pairs of {len(dataset.train):,} training digits, drawn anew for each batch, and "
        f"{len(dataset.test) * dataset.pairing.pairs_per_digit:,} test pairs of {len(dataset.test):,} digits, {sizes}"
    )


def _samples(dataset: Dataset, count: int = 4) -> str:
    """A few images side by side in five shades, 18 characters wide and 9 lines high each."""
    present = [label for label, number in enumerate(dataset.train.counts()) if number][:count]
    images = torch.cat([example_images(dataset, label, 1) for label in present]).float()
    # of a stereo pair one view: the mean of both would be blurred
    grey = images[:, :1] if images.shape[1] == 2 else images.mean(dim=1, keepdim=True)
    small = torch.nn.functional.interpolate(grey, (9, 18), mode="area")[:, 0] / 256 * len(_SHADES)
    pictures = [["".join(_SHADES[int(value)] for value in row) for row in image] for image in small]
    return "\n".join("  ".join(lines) for lines in zip(*pictures, strict=True))
