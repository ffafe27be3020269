"""Segment your own images: a folder of images/ and masks/, SegCaps, its Dice coefficient, and a picture.

Without --data a folder of synthetic images is written first: discs and squares on noise, class 1 and class 2.

Run it: python examples/segmentation.py [--data FOLDER] [--size 32] [--steps 300] [--model segcaps-small] [--out masks]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, random_split

from capsnet.data.mask_folder import read_mask_folder
from capsnet.figures.masks import draw_masks
from capsnet.functional import dice_score
from capsnet.inference import segment
from capsnet.losses import dice_loss, pixel_margin_loss
from capsnet.models import create_segmenter, load_segmenter


def write_shapes(folder: Path, count: int = 120, side: int = 32) -> None:
    """Write images of a disc and a square on noise, and masks with the class of each pixel."""
    draw = np.random.default_rng(0)
    row, column = np.mgrid[:side, :side]
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        mask = np.zeros((side, side), dtype=np.uint8)
        for label in (1, 2):
            y, x, radius = *draw.uniform(6, side - 6, size=2), draw.uniform(4, 7)
            far = np.hypot(row - y, column - x) if label == 1 else np.maximum(abs(row - y), abs(column - x))
            mask[far <= radius] = label
        # both classes are equally bright: only the shape tells them apart
        image = 60 + 110 * (mask > 0) + draw.normal(0, 20, mask.shape)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{number:03}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number:03}.png")


def main(data: Path | None, size: int, steps: int, model: str, out: Path) -> float:
    """Train, and return the Dice coefficient over all classes on held-out images."""
    torch.manual_seed(0)
    if data is None:
        data = out / "shapes"
        write_shapes(data)
    images = read_mask_folder(data, size=(size, size))
    train, held_out = random_split(images, [0.8, 0.2], torch.Generator().manual_seed(0))
    network = create_segmenter(
        model, image_shape=images.image_shape, num_classes=len(images.class_names), decoder=False
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
    step = 0
    while step < steps:
        for pixels, masks in DataLoader(train, batch_size=8, shuffle=True, drop_last=len(train) > 8):
            lengths = network(pixels).lengths
            # margins for each pixel, overlap for each image
            loss = pixel_margin_loss(lengths, masks, positive_weight=3.0) + dice_loss(lengths, masks, pooled=True)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            if step % 20 == 0:
                print(f"step {step} of {steps}: loss {float(loss.detach()):.3f}")
            if step == steps:
                break
    network.save(out / "model.safetensors")
    network = load_segmenter(out / "model.safetensors")
    pixels, masks = (torch.stack(values) for values in zip(*held_out, strict=True))
    predicted = torch.stack([segment(network, image) for image in pixels])
    score = float(dice_score(predicted.flatten(1, 2), masks.flatten(1, 2)).mean())
    draw_masks(pixels, {"true": masks, model: predicted}, images.class_names).savefig(out / "masks.png")
    print(f"Dice coefficient on {len(pixels)} held-out images: {score:.2f}; see {out / 'masks.png'}")
    return score


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", type=int, default=32, help="height and width of the model, a multiple of 8")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--model", choices=("segcaps-small", "segcaps"), default="segcaps-small")
    parser.add_argument("--out", type=Path, default=Path("masks"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    main(**vars(options))
