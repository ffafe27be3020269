"""The verbs `data` and `predict` for segmentation: images with a mask of each class."""

import io
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor

from capsnet.cli.console import bar, print_json, wrapped
from capsnet.data.formats import printable_name
from capsnet.data.images import choose_range, collect_notes
from capsnet.data.mask_folder import open_mask
from capsnet.data.mask_splits import MaskSurvey, survey_masks
from capsnet.errors import UserError
from capsnet.inference.segment import measure_pixels, number_pixels, read_image
from capsnet.models import load_segmenter
from capsnet.prediction import NOT_FINITE, Failure
from capsnet.runs.files import write_bytes

_MOST_DRAWN = 6
_THRESHOLD = 0.5


def print_data(folder: str, figure: Path | None, as_json: bool) -> None:
    """Count the images and the pixels of each class, and draw some masks."""
    survey = survey_masks(folder)
    if figure is not None:
        shown = _choose_examples(survey)
        pixels = [read_image(survey.pairs[row][0], 3 if survey.color else 1) for row in shown]
        masks = [_read_mask(survey, row) for row in shown]
        _draw(figure, pixels, masks, survey.class_names, f"Masks of {printable_name(Path(folder).name or folder)}")
    if as_json:
        print_json(_to_dict(folder, survey))
        return
    names = [split for split in ("train", "validation", "test") if split in survey.splits]
    counts = ", ".join(f"{survey.splits[split]:,} {split}" for split in names)
    print(f"{printable_name(folder)}: {counts}; {'colour' if survey.color else 'grey'} images with masks\n")
    width = max(10, *map(len, survey.class_names))
    print(f"{'class':{width}}  {'images':>7}    pixels")
    rows = list(zip(survey.class_names, survey.images, survey.shares, strict=True))
    rows.append(("background", sum(survey.splits.values()), 1 - sum(survey.shares)))
    for name, images, share in rows:
        print(f"{name:{width}}  {images:>7,}  {100 * share:>6.2f} %  {bar(share)}".rstrip())
    print(f"\nwidth   {survey.width} pixels\nheight  {survey.height} pixels")
    if survey.unmarked:
        print(f"{survey.unmarked:,} images hold background only")
    for note in survey.notes:
        print(wrapped(printable_name(note)))
    if figure is not None:
        print(f"figure: {figure}")


def _to_dict(folder: str, survey: MaskSurvey) -> dict[str, object]:
    return {
        "data": folder,
        "kind": "masks",
        "class_names": list(survey.class_names),
        **survey.splits,
        "images": list(survey.images),
        "pixel_shares": list(survey.shares),
        "background_share": 1 - sum(survey.shares),
        "unmarked": survey.unmarked,
        "width": asdict(survey.width),
        "height": asdict(survey.height),
        "color": survey.color,
        "notes": list(survey.notes),
    }


def _choose_examples(survey: MaskSurvey) -> list[int]:
    """The first image of each class, then the first images, up to the number in a figure."""
    firsts = [
        next((row for row, present in enumerate(survey.present) if label in present), 0)
        for label in range(1, len(survey.class_names) + 1)
    ]
    return list(dict.fromkeys([*firsts, *range(len(survey.pairs))]))[:_MOST_DRAWN]


def _read_mask(survey: MaskSurvey, row: int) -> Bool[Tensor, "n h w"]:
    values = torch.from_numpy(np.array(open_mask(survey.pairs[row][1])))
    numbers = [255] if survey.is_white else range(1, len(survey.class_names) + 1)
    return torch.stack([values == number for number in numbers])


def predict_masks(
    model_file: Path, images: Sequence[Path], *, out: Path | None, figure: Path | None, as_json: bool
) -> list[Failure]:
    """Segment image files, write their masks, and print the area of each class.

    Args:
        model_file: of a segmenter.
        images: files.
        out: new folder for a PNG of each image with a class number at each pixel; None: write none.
        figure: file of a picture of the first masks, or None.
        as_json: print one JSON object.

    Returns:
        The files that could not be read.

    Raises:
        UserError: the folder exists, two images would have one mask file, or the model is for volumes.
    """
    model = load_segmenter(model_file)
    pixel_range, infos = choose_range(images, model.pixel_range)
    for note in collect_notes(infos):
        print(f"capsnet: {note}", file=sys.stderr)
    if out is not None:
        _check_folder(out, images)
    failures: list[Failure] = []
    predictions: list[dict[str, object]] = []
    drawn: list[tuple[UInt8[Tensor, "c h w"], Bool[Tensor, "n h w"]]] = []
    for file in images:
        try:
            pixels = read_image(file, model.image_shape[0], pixel_range)
        except UserError as fault:
            failures.append(Failure(str(file), str(fault)))
            continue
        lengths = measure_pixels(model, pixels)
        if not bool(lengths.isfinite().all()):
            raise UserError(f"{file}: {NOT_FINITE}")
        masks = lengths > _THRESHOLD
        path = None if out is None else out / f"{file.stem}.png"
        if path is not None:
            # with the first mask: a command that reads no image leaves no folder behind
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, _to_png(number_pixels(lengths, _THRESHOLD), model.num_classes))
        areas = _measure(file, masks, model.class_names, path)
        if figure is not None and len(drawn) < _MOST_DRAWN:
            drawn.append((pixels, masks))
        predictions.append(areas.to_dict())
        if not as_json:
            areas.print()
    if figure is not None and drawn:
        _draw(figure, [pair[0] for pair in drawn], [pair[1] for pair in drawn], model.class_names, "Predicted masks")
        more = f" (the first {len(drawn)} of {len(predictions):,} images)" if len(predictions) > len(drawn) else ""
        print(f"figure: {figure}{more}", file=sys.stderr if as_json else sys.stdout)
    if as_json:
        failed = [{"file": failure.file, "error": failure.error} for failure in failures]
        print_json({"predictions": predictions, **({"failed": failed} if failed else {})})
    return failures


def _check_folder(out: Path, images: Sequence[Path]) -> None:
    stems = Counter(file.stem for file in images)
    twice = next((stem for stem, count in stems.items() if count > 1), None)
    if twice is not None:
        raise UserError(f"two images would have the mask {out / twice}.png; segment them with two commands")
    if os.path.lexists(out):
        raise UserError(f"{out} exists; give another --out")


@dataclass(frozen=True)
class _Areas:
    """The area of each class in an image.

    Args:
        file: the image.
        height: of the image in pixels.
        width: of the image in pixels.
        pixels: number of each class's pixels, by class name.
        overlap: number of pixels of several classes.
        mask: the mask's file; None: not written.
    """

    file: str
    height: int
    width: int
    pixels: Mapping[str, int]
    overlap: int
    mask: str | None

    def share(self, name: str) -> float:
        """Share of the image's pixels that belong to a class."""
        return self.pixels[name] / (self.height * self.width)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        classes = [
            {"class_name": name, "pixels": area, "share": self.share(name)} for name, area in self.pixels.items()
        ]
        values = {"file": self.file, "height": self.height, "width": self.width}
        return {**values, "classes": classes, "overlap": self.overlap, **({"mask": self.mask} if self.mask else {})}

    def print(self) -> None:
        """Print a line for each class."""
        print(f"{self.file}: {self.width}x{self.height} pixels")
        longest = max(map(len, self.pixels))
        for name in self.pixels:
            print(f"  {name:{longest}}  {100 * self.share(name):>6.2f} %  {bar(self.share(name))}".rstrip())
        if self.overlap:
            print(f"  {self.overlap:,} pixels are of several classes; in a mask's file the longest capsule's number")
        if self.mask is not None:
            print(f"  mask: {self.mask}")


def _measure(file: Path, masks: Bool[Tensor, "n h w"], class_names: Sequence[str], path: Path | None) -> _Areas:
    height, width = masks.shape[1:]
    pixels = dict(zip(class_names, masks.sum(dim=(1, 2)).tolist(), strict=True))
    overlap = int((masks.sum(dim=0) > 1).sum())
    return _Areas(str(file), height, width, pixels, overlap, None if path is None else str(path))


def _to_png(numbers: UInt8[Tensor, "h w"], classes: int) -> bytes:
    """A palette image: the class number at each pixel, shown in the class's colour, the background in black."""
    from capsnet.figures.masks import class_colors

    image = Image.fromarray(numbers.numpy())
    image.putpalette([0, 0, 0, *(round(255 * part) for color in class_colors(classes) for part in color)])
    target = io.BytesIO()
    image.save(target, format="PNG", optimize=True)
    return target.getvalue()


def _draw(
    path: Path,
    images: Sequence[UInt8[Tensor, "_ _ _"]],  # c h w, each of its own size
    masks: Sequence[Bool[Tensor, "_ _ _"]],
    class_names: Sequence[str],
    title: str,
) -> None:
    from capsnet.figures.masks import draw_masks, frame_masks
    from capsnet.figures.style import to_png

    framed = [frame_masks(image, mask) for image, mask in zip(images, masks, strict=True)]
    pixels, marked = (torch.stack(part) for part in zip(*framed, strict=True))
    write_bytes(path, to_png(draw_masks(pixels, {"masks": marked}, class_names, title)))
