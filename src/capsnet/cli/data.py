"""`capsnet data`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from capsnet.cli.console import bar, print_json, wrapped
from capsnet.cli.outputs import check_output
from capsnet.cli.parse import parse
from capsnet.data import DATASETS, Dataset, load_data
from capsnet.data.examples import example_images
from capsnet.data.formats import printable_name
from capsnet.data.input_kind import InputKind, find_input_kind
from capsnet.data.shards import Shards
from capsnet.data.survey import Survey, listed
from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.runs.files import write_bytes

_SHADES = " ░▒▓█"
_NAMED = 5


@dataclass(frozen=True)
class Data:
    """Count the images of a data set, draw a histogram of its classes and show samples.

    For a folder it also reports sizes, modes, duplicates, unreadable files, small and imbalanced classes, and the
    images of the test split.

    For a folder of images/ and masks/ it reports the pixels of each class and draws masks; for WAV files in class
    folders and for .ts files, the lengths, and it draws a spectrogram or series of each class.

    Examples:
      capsnet data mnist --figure mnist.png
      capsnet data photos/ --image-size 48
      capsnet data scans/ --figure masks.png
      capsnet data sounds/ --figure spectrograms.png
    """

    name: tyro.conf.Positional[str]
    """A data set (capsnet list data), a folder with a folder of images for each class, .tar files, hf:NAME, a .npz
    or .csv file, a folder of images/ and masks/, of WAV files in class folders, or a .ts file."""
    data_dir: Path | None = None
    """Folder of named data sets."""
    image_size: int | None = None
    """Side in pixels to which your own images are scaled (default: that of the recipe own-images, 64)."""
    skip_unreadable: bool = False
    """Skip files of an image folder that are not readable images, and list them."""
    pixel_range: tuple[float, float] | None = None
    """Pixel values that become black and white, for images of more than 8 bits (default: one range for all images)."""
    shards: Shards | None = None
    """Keep prepared photos in memory-mapped files (default: if they exceed a quarter of the free memory)."""
    figure: Path | None = None
    """Draw the histogram and samples into this PNG file."""
    json: bool = False
    """Print one JSON object."""


def main(args: list[str]) -> None:
    """Load, count, print, draw."""
    options = parse(Data, args)
    check_output(options.figure, "--figure", suffix=".png")
    kind = "images" if options.name in DATASETS else find_input_kind(options.name)
    if kind != "images":
        _print_other(options, kind)
        return
    own = RECIPES.get("own-images").config.data
    dataset = load_data(
        options.name,
        data_dir=options.data_dir,
        image_size=own.image_size if options.image_size is None else options.image_size,
        skip_unreadable=options.skip_unreadable,
        pixel_range=options.pixel_range,
        shards=options.shards,
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


def _print_other(options: Data, kind: InputKind) -> None:
    """Count masks or sequences."""
    name = printable_name(options.name)
    given = {
        "image_size": options.image_size is not None,
        "skip_unreadable": options.skip_unreadable,
        "pixel_range": options.pixel_range is not None,
        "shards": options.shards is not None,
        "data_dir": options.data_dir is not None,
    }
    for option, is_given in given.items():
        if is_given:
            raise UserError(f"{option} must be left out: it is for images in class folders, {name} holds {kind}")
    if kind == "masks":
        from capsnet.cli.masks import print_data

        print_data(options.name, options.figure, options.json)
    else:
        from capsnet.cli.sequences import print_data as print_sequences

        print_sequences(options.name, options.figure, options.json)


def _counts(dataset: Dataset) -> dict[str, object]:
    counts: dict[str, object] = {
        "data": dataset.name,
        "image_shape": list(dataset.input_shape),
        "class_names": list(dataset.train.class_names),
        "train": dataset.train.counts(),
        "test": dataset.test.counts(),
        "notes": list(dataset.notes),
    }
    if dataset.validation is not None:
        counts["validation"] = dataset.validation.counts()
    if dataset.pixel_range is not None:
        counts["pixel_range"] = list(dataset.pixel_range)
    if dataset.survey is not None:
        counts["survey"] = dataclasses.asdict(dataset.survey)
    if dataset.pairing is not None:
        counts["test_pairs"] = len(dataset.test) * dataset.pairing.pairs_per_digit
    return counts


def _print(dataset: Dataset) -> None:
    print(_describe(dataset) + "\n")
    names, train = dataset.train.class_names, dataset.train.counts()
    columns = {"train": train, "validation": None, "test": dataset.test.counts()}
    if dataset.validation is not None:
        columns["validation"] = dataset.validation.counts()
    splits = {title: counts for title, counts in columns.items() if counts is not None}
    width = max(5, *map(len, names))
    widths = {title: max(len(title), 7) for title in splits}
    print("  ".join([f"{'class':{width}}", *(f"{title:>{widths[title]}}" for title in splits)]))
    for label, name in enumerate(names):
        numbers = [f"{counts[label]:>{widths[title]},}" for title, counts in splits.items()]
        print("  ".join([f"{name:{width}}", *numbers, bar(train[label] / max(train))]))
    print()
    print(_samples(dataset))
    if dataset.survey is not None:
        print("\n" + "\n".join(_describe_files(dataset.survey)))
    if dataset.notes:
        print("\n" + "\n".join(map(wrapped, dataset.notes)))


def _describe_files(survey: Survey) -> list[str]:
    """Lines about the files of a folder."""
    modes = ", ".join(f"{mode} {count:,}" for mode, count in survey.modes.items())
    lines = [
        f"width   {survey.width} pixels",
        f"height  {survey.height} pixels",
        f"aspect  {survey.aspect} (width divided by height)",
        f"modes   {modes}",
    ]
    if survey.copies:
        copies = sum(len(group) - 1 for group in survey.copies)
        examples = printable_name(listed([" = ".join(group) for group in survey.copies]))
        lines.append(f"copies  {copies:,} files equal another one: {examples}")
    if survey.left_out:
        lines.append(f"left out  {len(survey.left_out):,} files that cannot be read:")
        lines += [f"  {reason}" for reason in survey.left_out[:_NAMED]]
        if len(survey.left_out) > _NAMED:
            lines.append(f"  and {len(survey.left_out) - _NAMED:,} more")
    return lines


def _describe(dataset: Dataset) -> str:
    shape = "x".join(map(str, dataset.input_shape))
    sizes = f"{shape} (channels x height x width)"
    name = printable_name(dataset.name)
    if dataset.pairing is None:
        held_out = f", {len(dataset.validation):,} validation" if dataset.validation is not None else ""
        return f"{name}: {len(dataset.train):,} training{held_out} and {len(dataset.test):,} test images, {sizes}"
    return (
        f"{name}: pairs of {len(dataset.train):,} training digits, drawn for each batch, and "
        f"{len(dataset.test) * dataset.pairing.pairs_per_digit:,} test pairs of {len(dataset.test):,} digits, {sizes}"
    )


def _samples(dataset: Dataset, count: int = 4) -> str:
    """A few images side by side in five shades, each 18 characters wide and 9 lines high."""
    present = [label for label, number in enumerate(dataset.train.counts()) if number][:count]
    images = torch.cat([example_images(dataset, label, 1) for label in present]).float()
    # show one view of a stereo pair: the mean of both would be blurred
    grey = images[:, :1] if images.shape[1] == 2 else images.mean(dim=1, keepdim=True)
    small = torch.nn.functional.interpolate(grey, (9, 18), mode="area")[:, 0] / 256 * len(_SHADES)
    pictures = [["".join(_SHADES[int(value)] for value in row) for row in image] for image in small]
    return "\n".join("  ".join(lines) for lines in zip(*pictures, strict=True))
