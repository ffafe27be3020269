"""`capsnet predict`."""

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from capsnet.cli.console import bar, print_json
from capsnet.cli.parse import parse
from capsnet.data.images import prepare_image
from capsnet.errors import UserError
from capsnet.inference.evaluate import find_inputs
from capsnet.runs import load
from capsnet.runs.files import write_bytes


@dataclass(frozen=True)
class Predict:
    """Say what is on image files.

    A network that learned digits sees a file as MNIST's were made: light strokes on black whichever way they were
    drawn, cropped, scaled to 20x20 and centred by mass. Other networks see the image fitted into their frame.

    Examples:
      capsnet predict efficient-capsnet-mnist photo.jpg
      capsnet predict runs/quickstart seven.png
      capsnet predict runs/quickstart scans/*.png --json --figure seen.png
    """

    model: tyro.conf.Positional[Path]
    """A run folder, a weights file, or a name from capsnet list pretrained."""
    images: tyro.conf.Positional[tuple[Path, ...]]
    """Image files, of any size."""
    as_is: bool = False
    """Only scale the image into the frame: neither invert, crop nor centre it."""
    figure: Path | None = None
    """Draw what the network saw, the lengths and the reconstruction into this file."""
    json: bool = False
    """Print one JSON object."""


def main(args: list[str]) -> None:
    """Predict and print."""
    options = parse(Predict, args)
    if not options.images:
        raise UserError("no image files given: capsnet predict RUN IMAGE...")
    if options.figure is not None and options.figure.exists():
        raise UserError(f"{options.figure}: exists; give another --figure")
    model = load(options.model)
    preparation = "fit" if options.as_is else model.preparation
    inputs = find_inputs(model)
    images = torch.stack([prepare_image(path, inputs.image_shape, preparation) for path in options.images])  # type: ignore[arg-type]
    with torch.inference_mode():
        output = model(inputs(images))
        drawn = None if getattr(model, "decoder", None) is None else model.reconstruct(output.capsules)  # type: ignore[operator]
    names: tuple[str, ...] = model.class_names  # type: ignore[assignment]
    if options.figure is not None:
        from capsnet.figures.prediction import draw_prediction
        from capsnet.figures.style import to_png

        files = [str(path) for path in options.images]
        figure = draw_prediction(inputs.view(images).round().to(torch.uint8), output.lengths, drawn, names, files)
        write_bytes(options.figure, to_png(figure))
    rows = zip(options.images, output.lengths.tolist(), strict=True)
    count = 1 if getattr(model, "pairing", None) is None else 2
    predictions = [_prediction(path, lengths, names, count) for path, lengths in rows]
    if preparation == "digit":
        # an even surface comes back black
        for prediction, image in zip(predictions, images, strict=True):
            if not image.any():
                prediction |= {"label": None, "class_name": None}
    if options.json:
        print_json({"predictions": predictions})
        return
    for prediction in predictions:
        _print(prediction, names)
    if options.figure is not None:
        print(f"figure: {options.figure}")


def _prediction(path: Path, lengths: list[float], names: tuple[str, ...], count: int) -> dict[str, object]:
    """What is on an image; of a network that was trained on pairs, also the two longest capsules."""
    found = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)[:count]
    label = found[0]
    prediction: dict[str, object] = {
        "file": str(path),
        "label": label,
        "class_name": names[label],
        "length": lengths[label],
        "lengths": lengths,
    }
    if count > 1:
        prediction |= {"labels": found, "class_names": [names[k] for k in found]}
    return prediction


def _print(prediction: dict[str, object], names: tuple[str, ...]) -> None:
    if prediction["label"] is None:
        print(f"{prediction['file']}: no digit found, the image is even (--as-is shows it to the network as it is)")
        return
    lengths: list[float] = prediction["lengths"]  # type: ignore[assignment]
    width = max(len(name) for name in names)
    found: list[str] = prediction.get("class_names", [prediction["class_name"]])  # type: ignore[assignment]
    print(f"{prediction['file']}: {' and '.join(found)}  (length {prediction['length']:.3f})")
    for name, length in zip(names, lengths, strict=True):
        mark = "◂" if name in found else ""
        print(f"  {name:{width}}  {length:.3f}  {bar(length)} {mark}".rstrip())
