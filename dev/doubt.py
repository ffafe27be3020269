"""Measure when answers of weights that come with the package are unsure: `python dev/doubt.py NAME... [--data DIR]`.

The limits are chosen on the 5,000 validation images of MNIST that the run held out; how well they mark other images is
measured on images of other kinds. Limits and shares are written into the metadata of the weights file, whose tensors
stay byte for byte, and into the model card. The test split is not read.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from capsnet.data import load_data
from capsnet.inference.doubt import calibrate_doubt
from capsnet.inference.predict import predict
from capsnet.prediction import Doubt
from capsnet.runs import load
from capsnet.runs.files import write_bytes, write_text
from capsnet.runs.pretrained import FOLDER

SEED, COUNT = 0, 300
# letters that are not drawn as a digit is, in one stroke or another
LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZabcdefghjkmnpqrtuvwxyz"


def main(names: list[str], data_dir: Path | None, shapes: Path | None) -> None:
    """Write the limits of each network into its file and card."""
    train = load_data("mnist", data_dir=data_dir).train
    # the images that the runs of these networks held out
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(SEED))
    held_out = train.select(order[:5000].sort().values)
    others = dict(draw_others(held_out.images[:, 0].numpy(), data_dir, shapes))
    for name in names:
        model = load(name)
        doubt = calibrate_doubt(model, held_out)
        assert doubt is not None
        model.doubt = doubt  # type: ignore[assignment]
        marked = {kind: share(predict(model, images)) for kind, images in others.items()}
        doubt = replace(doubt, marked=marked)
        write_metadata(FOLDER / f"{name}.safetensors", doubt)
        write_card(FOLDER / f"{name}.md", doubt)
        print(name, *doubt.describe(), sep="\n  ")


def share(predictions: list) -> float:
    """Share of the answers that are unsure; an image without a digit is one of them."""
    return round(sum(bool(prediction.unsure) for prediction in predictions) / len(predictions), 3)


def draw_others(digits: np.ndarray, data_dir: Path | None, shapes: Path | None) -> Iterator[tuple[str, list]]:
    """Images that are not one written digit, by kind."""
    generator = np.random.default_rng(SEED)
    yield "printed letters", [write(str(generator.choice(list(LETTERS))), generator) for _ in range(COUNT)]
    numbers = [str(generator.integers(10, 10_000)) for _ in range(COUNT)]
    yield "printed numbers of two to four digits", [write(number, generator) for number in numbers]
    yield "two to four digits side by side", [side_by_side(digits, generator) for _ in range(COUNT)]
    yield "asterisks", [draw_asterisk(generator) for _ in range(COUNT)]
    yield "scribbles", [draw_scribble(generator) for _ in range(COUNT)]
    for name, kind in (("fashion-mnist", "clothes (Fashion-MNIST)"), ("cifar10", "photos (CIFAR-10)")):
        images = load_data(name, data_dir=data_dir).train.images[:COUNT]
        yield kind, [Image.fromarray(image.permute(1, 2, 0).numpy().squeeze()) for image in images]
    if shapes is not None:
        files = sorted(shapes.glob("*/*.png"))
        yield "hand-drawn shapes (HDS)", files[:: max(1, len(files) // COUNT)]


def write(text: str, generator: np.random.Generator) -> Image.Image:
    """A printed word in one of the fonts of matplotlib."""
    fonts = sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVu*[!y].ttf"))
    font = ImageFont.truetype(fonts[generator.integers(len(fonts))], 60)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (round(right - left) + 40, round(bottom - top) + 40), 255)
    ImageDraw.Draw(image).text((20 - left, 20 - top), text, font=font, fill=0)
    return image


def side_by_side(digits: np.ndarray, generator: np.random.Generator) -> Image.Image:
    """Written digits in a row."""
    count = int(generator.integers(2, 5))
    image = Image.new("L", (24 * count + 8, 32))
    for position in range(count):
        digit = Image.fromarray(digits[generator.integers(len(digits))])
        image.paste(digit, (24 * position, 2), digit)
    return image.resize((4 * image.width, 4 * image.height), Image.Resampling.BICUBIC)


def draw_asterisk(generator: np.random.Generator) -> Image.Image:
    """Three to five strokes through one point, as the page draws them."""
    image = Image.new("L", (224, 224))
    count, radius = int(generator.integers(3, 6)), generator.uniform(50, 90)
    for angle in generator.uniform(0, 1) + np.pi * np.arange(count) / count:
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        ImageDraw.Draw(image).line([(112 - x, 112 - y), (112 + x, 112 + y)], fill=255, width=17)
    return image


def draw_scribble(generator: np.random.Generator) -> Image.Image:
    """A line from place to place, as the page draws it."""
    image = Image.new("L", (224, 224))
    places = [tuple(generator.uniform(30, 194, 2)) for _ in range(generator.integers(7, 14))]
    ImageDraw.Draw(image).line(places, fill=255, width=17, joint="curve")
    return image


def write_metadata(path: Path, doubt: Doubt) -> None:
    """Replace the metadata of a safetensors file; the bytes of its tensors stay as they are."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    spec = json.loads(header["__metadata__"]["capsnet"])
    header["__metadata__"]["capsnet"] = json.dumps({**spec, "doubt": asdict(doubt)})
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    write_bytes(path, len(text).to_bytes(8, "little") + text + data[8 + size :])


def write_card(path: Path, doubt: Doubt) -> None:
    """Write the section on unsure answers of a model card anew."""
    card = path.read_text(encoding="utf-8").partition("\n## Unsure answers\n")[0].rstrip()
    rows = [f"| {kind} | {100 * share:.0f} % |" for kind, share in doubt.marked.items()]
    card += f"""

## Unsure answers

`capsnet predict` and `capsnet demo` mark an answer as unsure if the longest capsule is shorter than {doubt.length:.2f},
or less than {doubt.gap:.2f} longer than the second; if its reconstruction differs from the image by more than
{100 * (doubt.error or 0):.0f} % of the image's squared pixels, or in the mean grey of a 5x5 window by more than
{doubt.patch_error:.2f} of white; or if several pieces of ink stand side by side. The limits are chosen on
{doubt.images:,} validation images, of which {100 * doubt.passed:.1f} % pass. They mark

| images ({COUNT} of each) | marked as unsure |
|---|---|
{chr(10).join(rows)}
"""
    write_text(path, card)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--data", type=Path, help="where the data sets lie")
    parser.add_argument("--shapes", type=Path, help="the folder hand-drawn-shapes of the HDS data set")
    options = parser.parse_args()
    torch.set_num_threads(1)
    main(options.names, options.data, options.shapes)
