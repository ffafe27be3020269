"""Segment each of two overlapping MNIST digits: SegCaps beside a U-Net of equal size, and memory of both at 512x512.

    python benchmarks/segmentation.py                 # train, test, measure: docs/segmentation.json and a picture
    python benchmarks/segmentation.py --only baseline # score the trivial answer and draw anew, keep the other numbers
    python benchmarks/segmentation.py --only memory   # measure memory anew, keep the other numbers

Both models see the same pairs in the same order, have the same loss and optimizer, and are tested on the same pairs of
test digits. The test pairs choose nothing: each model is tested once, after its last step.
"""

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import time
from pathlib import Path

import torch

import capsnet
from capsnet.data import load_data
from capsnet.data.multimnist_masks import MaskedImages, mask_pairs
from capsnet.data.pairs import Pairing, draw_pairs, fixed_pairs
from capsnet.figures.segmentation import draw_segmentation
from capsnet.figures.style import to_png
from capsnet.functional import dice_score, iou_score
from capsnet.losses import pixel_margin_loss
from capsnet.models import SegCaps, SegmentationModel, create_segmenter

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "runs" / "segmentation"
MODELS = ("segcaps-small", "unet-small")
PAIRING = Pairing(padding=2, shift=2)
LOSS = {"positive_weight": 10.0}
RECONSTRUCTION = 0.1
TEST_PAIRS = 2000
MEMORY_SIDES = (128, 256, 512)


def train(name: str, seed: int, steps: int, batch: int, lr: float) -> tuple[SegmentationModel, float]:
    """Train on pairs drawn anew for each step; return the model and the seconds of processor time."""
    torch.manual_seed(seed)
    digits = load_data("mnist").train
    model = create_segmenter(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    start = time.process_time()
    for _ in range(steps):
        chosen = torch.randint(len(digits), (batch,), generator=generator)
        masked = mask_pairs(draw_pairs(digits.images, digits.labels, chosen, PAIRING, generator))
        images = masked.images.float() / 255
        output = model(images)
        loss = pixel_margin_loss(output.lengths, masked.masks, **LOSS)
        if isinstance(model, SegCaps):
            inside = masked.masks.any(dim=1, keepdim=True)
            reconstructed = model.reconstruct(output.poses, masked.masks)
            loss = loss + RECONSTRUCTION * (inside * (reconstructed - images)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval(), time.process_time() - start


def test_pairs(count: int) -> MaskedImages:
    """The first pairs of test digits, the same for all models and seeds."""
    digits = load_data("mnist").test
    pairs = next(fixed_pairs(digits.images, digits.labels, PAIRING, batch_size=count))
    return mask_pairs(pairs)


@torch.no_grad()
def segment(model: SegmentationModel, images: torch.Tensor) -> torch.Tensor:
    """Masks of all images, in batches."""
    return torch.cat([model.segment(part.float() / 255) for part in images.split(100)])


def score(masks: torch.Tensor, test: MaskedImages) -> dict[str, float]:
    """Dice over the masks of all classes, Dice and IoU of the two present digits, and where they are wrong.

    Dice and IoU of the present digits alone do not see masks of absent classes: marking all ink as every digit scores
    high. `dice_all` counts every pixel of every class; compare it with `all_ink_as_every_digit` of the results.
    """
    rows = torch.arange(len(test))[:, None]
    found, true = masks[rows, test.labels], test.masks[rows, test.labels]  # m 2 h w
    shared = true.all(dim=1, keepdim=True)
    absent = masks.clone()
    absent[rows, test.labels] = False
    return {
        "dice_all": float(dice_score(masks.flatten(1, 2), test.masks.flatten(1, 2)).mean()),
        "dice": float(dice_score(found, true).mean()),
        "iou": float(iou_score(found, true).mean()),
        "shared_pixels_found": float((found & shared).sum() / (2 * shared.sum())),
        "images_with_absent_class": float((absent.sum(dim=(2, 3)).amax(dim=1) > 10).float().mean()),
    }


def _run(arguments: tuple[str, int, int, int, float]) -> dict[str, object]:
    name, seed, *budget = arguments
    torch.set_num_threads(1)
    model, seconds = train(name, seed, *budget)
    test = test_pairs(TEST_PAIRS)
    masks = segment(model, test.images)
    if seed == 0:
        WEIGHTS.mkdir(parents=True, exist_ok=True)
        model.save(WEIGHTS / f"{name}.safetensors")
    return {"model": name, "seed": seed, "processor_seconds": seconds, **score(masks, test)}


def _peak(side: int, max_votes: int | None, sender: multiprocessing.connection.Connection) -> None:
    torch.set_num_threads(1)
    model = create_segmenter("segcaps", image_shape=(1, side, side), max_votes=max_votes)
    image = torch.rand(1, 1, side, side)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model(image).lengths.sum().backward()
    sender.send(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))


def measure_memory() -> list[dict[str, float | str]]:
    """What a forward and backward pass of one image adds to a process at its peak, in bytes."""
    rows: list[dict[str, float | str]] = []
    context = multiprocessing.get_context("spawn")
    for side in MEMORY_SIDES:
        for path, max_votes in (("all votes", None), ("row by row", 2**22)):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_peak, args=(side, max_votes, sender))
            process.start()
            rows.append({"side": side, "path": path, "bytes": receiver.recv()})
            process.join()
    return rows


def votes_bytes(side: int) -> int:
    """Bytes of the votes of all layers for one image in float32."""
    model = create_segmenter("segcaps", image_shape=(1, 16, 16))
    total = 0

    def add(layer: torch.nn.Module, inputs: tuple[torch.Tensor], output: tuple[torch.Tensor, torch.Tensor]) -> None:
        nonlocal total
        total += output[0].numel() * layer.num_child_types

    for layer in model.modules():
        if hasattr(layer, "num_child_types"):
            layer.register_forward_hook(add)
    with torch.no_grad():
        model(torch.rand(1, 1, 16, 16))
    return 4 * total * side**2 // 16**2


def _mean(rows: list[dict[str, object]], key: str) -> dict[str, float]:
    values = [float(row[key]) for row in rows]
    return {"mean": statistics.mean(values), "std": statistics.stdev(values) if len(values) > 1 else 0.0}


def main() -> None:
    """Run all, and write docs/segmentation.json and docs/pictures/segmentation.png."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=("baseline", "memory"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "segmentation.json")
    options = parser.parse_args()
    results = json.loads(options.out.read_text()) if options.only else {}
    if options.only is None:
        budget = (options.steps, options.batch, options.lr)
        jobs = [(name, seed, *budget) for seed in range(options.seeds) for name in MODELS]
        with multiprocessing.get_context("spawn").Pool(options.workers, maxtasksperchild=1) as pool:
            rows = pool.map(_run, jobs, chunksize=1)
        keys = ("dice_all", "dice", "iou", "shared_pixels_found", "images_with_absent_class", "processor_seconds")
        results["models"] = {
            name: {
                "parameters": sum(p.numel() for p in create_segmenter(name).parameters()),
                **{key: _mean([row for row in rows if row["model"] == name], key) for key in keys},
            }
            for name in MODELS
        }
        results["runs"] = rows
        results["settings"] = {
            **{key: getattr(options, key) for key in ("steps", "batch", "lr", "seeds")},
            "test_pairs": TEST_PAIRS,
            "side": 28 + 2 * PAIRING.padding,
            "shift": PAIRING.shift,
            "reconstruction_weight": RECONSTRUCTION,
            **LOSS,
        }
    if options.only != "memory":
        test = test_pairs(TEST_PAIRS)
        # the trivial answer: all ink belongs to every digit
        results["all_ink_as_every_digit"] = score((test.images >= 128).expand_as(test.masks), test)
        draw(options.out.parent / "pictures" / "segmentation.png")
    if options.only != "baseline":
        results["memory"] = measure_memory()
    results["votes_bytes"] = {str(side): votes_bytes(side) for side in MEMORY_SIDES}
    if options.only is None:
        results["machine"] = {
            "processor": platform.processor() or platform.machine(),
            "torch": torch.__version__,
            "capsnet": capsnet.__version__,
            "date": time.strftime("%Y-%m-%d"),
        }
    options.out.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results["models"], indent=2))


def draw(file: Path) -> None:
    """Draw the first test pairs, segmented by the models of seed 0."""
    from capsnet.models import load_segmenter

    test = test_pairs(8)
    masks = {
        label: segment(load_segmenter(WEIGHTS / f"{name}.safetensors"), test.images)
        for label, name in (("SegCaps", "segcaps-small"), ("U-Net", "unet-small"))
    }
    file.write_bytes(to_png(draw_segmentation(test, masks)))


if __name__ == "__main__":
    main()
