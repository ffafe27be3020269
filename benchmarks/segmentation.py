"""Segment each of two overlapping MNIST digits: SegCaps beside a U-Net of equal size; and memory of SegCaps.

    python benchmarks/segmentation.py train segcaps --steps 2000 --seed 0  # run it again to go on after a stop
    python benchmarks/segmentation.py train unet --steps 2000 --seed 0
    python benchmarks/segmentation.py test     # docs/segmentation.json and pictures, from the runs that are complete
    python benchmarks/segmentation.py memory   # measure memory anew, keep the other numbers

Both models see the same pairs in the same order, and have the same loss, optimizer and schedule. Loss, sizes and
learning rates were chosen on pairs of training digits that no model learns from; each model is tested once, after its
last step. Runs that are tested together have the same number of steps.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import capsnet
from capsnet.bench.memory import peak_of
from capsnet.data import ImageData, load_data
from capsnet.data.multimnist_masks import MaskedImages, mask_pairs
from capsnet.data.pairs import Pairing, draw_pairs, fixed_pairs
from capsnet.figures.segmentation import draw_learning, draw_segmentation
from capsnet.figures.style import to_png
from capsnet.functional import dice_score, iou_score
from capsnet.inference.mask_evaluation import mask_losses
from capsnet.models import SegmentationModel, create_segmenter

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs" / "segmentation"
RESULTS = ROOT / "docs" / "segmentation.json"
PICTURES = ROOT / "docs" / "pictures"

PAIRING = Pairing(padding=1, shift=2)  # of digits of half the size
THRESHOLD, SIDE = 96, 16
HELD_OUT, HELD_OUT_PAIRS, TEST_PAIRS = 5000, 500, 2000
BATCH, WARM_UP, DECAY = 16, 100, 0.3
EVERY = 100
MEMORY_SIDES = (128, 256, 512)


@dataclass(frozen=True)
class Network:
    """A network of the comparison: its name for readers, its preset with options, and its highest learning rate."""

    title: str
    preset: str
    options: dict[str, int | bool]
    lr: float

    def create(self) -> SegmentationModel:
        """Fresh weights."""
        return create_segmenter(self.preset, image_shape=(1, SIDE, SIDE), num_classes=10, **self.options)


NETWORKS = {
    "segcaps": Network("SegCaps", "segcaps-small", {"decoder": False}, 0.01),
    "unet": Network("U-Net", "unet-small", {"channels": 13, "levels": 3}, 0.01),
}


def load_digits(split: str) -> ImageData:
    """MNIST's digits at half their size, 14x14: `"train"`, `"held-out"` (the last 5,000 of train) or `"test"`."""
    data = load_data("mnist")
    digits = data.test if split == "test" else data.train
    if split != "test":
        rows = torch.arange(len(digits))
        digits = digits.select(rows[-HELD_OUT:] if split == "held-out" else rows[:-HELD_OUT])
    small = nn.functional.avg_pool2d(digits.images.float(), 2).round().to(torch.uint8)
    return replace(digits, images=small)


def fix_pairs(split: str, count: int) -> MaskedImages:
    """The first pairs of a split, the same for all models and seeds."""
    digits = load_digits(split)
    return mask_pairs(next(fixed_pairs(digits.images, digits.labels, PAIRING, batch_size=count)), threshold=THRESHOLD)


def draw_batches(seed: int, first: int) -> Iterator[MaskedImages]:
    """Pairs of training digits, drawn anew for each step; those of a step depend on its number only."""
    digits, step = load_digits("train"), first
    while True:
        generator = torch.Generator().manual_seed(1_000_003 * seed + step)
        chosen = torch.randint(len(digits), (BATCH,), generator=generator)
        pairs = draw_pairs(digits.images, digits.labels, chosen, PAIRING, generator)
        yield mask_pairs(pairs, threshold=THRESHOLD)
        step += 1


def learning_rate(step: int, steps: int) -> float:
    """Share of the highest learning rate: it rises for `WARM_UP` steps, and falls to zero in the last `DECAY`."""
    return min(1.0, (step + 1) / WARM_UP, (steps - step) / (DECAY * steps))


def train(name: str, seed: int, steps: int, lr: float | None = None, folder: Path = RUNS) -> Path:
    """Train, or go on where the last checkpoint was written; return the checkpoint's file.

    Raises:
        SystemExit: a checkpoint of a run with another number of steps.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    network = NETWORKS[name]
    model, highest = network.create(), lr or network.lr
    optimizer = torch.optim.Adam(model.parameters(), lr=highest)
    state = {"step": 0, "planned": steps, "seconds": 0.0, "curve": []}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / (f"{name}-{seed}.pt" if lr is None else f"{name}-{seed}-lr{lr:g}.pt")
    if file.is_file():
        saved = torch.load(file, weights_only=True)
        if (planned := planned_steps(saved, highest) or steps) != steps:
            raise SystemExit(
                f"{file} is a run of {planned} steps, got {steps}; its learning rates depend on their number: "
                f"give --steps {planned}, or move the file away"
            )
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"] | {"planned": steps}
    held_out = fix_pairs("held-out", HELD_OUT_PAIRS)
    batches = draw_batches(seed, state["step"])
    started = time.process_time()
    while state["step"] < steps:
        masked = next(batches)
        optimizer.param_groups[0]["lr"] = highest * learning_rate(state["step"], steps)
        loss = mask_losses(model(masked.images.float() / 255).lengths, masked.masks).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        state["step"] += 1
        if state["step"] % EVERY == 0 or state["step"] == steps:
            state["seconds"] += time.process_time() - started
            row = {"step": state["step"], "seconds": state["seconds"], "loss": float(loss.detach())}
            state["curve"].append(row | score(segment(model, held_out.images), held_out))
            print(
                name, seed, json.dumps({key: round(value, 3) for key, value in state["curve"][-1].items()}), flush=True
            )
            _write(file, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": state})
            started = time.process_time()
    return file


def planned_steps(checkpoint: dict[str, Any], highest: float) -> int | None:
    """The number of steps that a run was to have; None if its checkpoint does not tell, as it is old and incomplete.

    Old checkpoints do not hold the number. They hold the last learning rate: in the last step of a run, and in no step
    before, it is that of a run which ends there.
    """
    state = checkpoint["state"]
    if "planned" in state:
        return int(state["planned"])
    (group,) = checkpoint["optimizer"]["param_groups"]
    step: int = state["step"]
    return step if math.isclose(group["lr"], highest * learning_rate(step - 1, step)) else None


def complete_runs(folder: Path, steps: int | None) -> dict[str, dict[int, dict[str, Any]]]:
    """The checkpoints of each network's complete runs, by seed.

    Args:
        folder: of the checkpoints.
        steps: only runs of this length; None: of any, which must be the same.

    Raises:
        SystemExit: a network without a complete run, or runs of different lengths.
    """
    runs: dict[str, dict[int, dict[str, Any]]] = {}
    for name, network in NETWORKS.items():
        found = {}
        for file in folder.glob(f"{name}-*.pt"):
            seed = file.stem.removeprefix(f"{name}-")
            # runs with another learning rate are not tested
            if not seed.isdecimal():
                continue
            checkpoint = torch.load(file, weights_only=True)
            step, planned = checkpoint["state"]["step"], planned_steps(checkpoint, network.lr)
            if step != planned:
                print(f"{file} is left out: it stopped after {step} of {planned or 'an unknown number of'} steps")
            elif steps is None or step == steps:
                found[int(seed)] = checkpoint
        if not found:
            length = "" if steps is None else f" of {steps} steps"
            raise SystemExit(f"{folder} has no complete run{length} of {name}; train one, or go on with one")
        runs[name] = dict(sorted(found.items()))
    lengths = sorted({run["state"]["step"] for found in runs.values() for run in found.values()})
    if len(lengths) > 1:
        raise SystemExit(f"the complete runs in {folder} have {lengths} steps; choose one number with --steps")
    return runs


def _write(file: Path, checkpoint: dict[str, object]) -> None:
    torch.save(checkpoint, file.with_suffix(".part"))
    file.with_suffix(".part").replace(file)


@torch.no_grad()
def segment(model: SegmentationModel, images: Tensor) -> Tensor:
    """Masks of all images, in batches."""
    model.eval()
    masks = torch.cat([model.segment(part.float() / 255) for part in images.split(100)])
    model.train()
    return masks


def score(masks: Tensor, pairs: MaskedImages) -> dict[str, float]:
    """Dice over the masks of all classes, Dice and IoU of the two present digits, and where they are wrong.

    Dice and IoU of the present digits alone do not see masks of absent classes: marking all ink as every digit scores
    high. `dice_all` counts every pixel of every class; compare it with the trivial answers of the results.
    """
    rows = torch.arange(len(pairs))[:, None]
    found, true = masks[rows, pairs.labels], pairs.masks[rows, pairs.labels]  # m 2 h w
    shared = true.all(dim=1, keepdim=True)
    absent = masks.clone()
    absent[rows, pairs.labels] = False
    return {
        "dice_all": float(dice_score(masks.flatten(1, 2), pairs.masks.flatten(1, 2)).mean()),
        "dice": float(dice_score(found, true).mean()),
        "iou": float(iou_score(found, true).mean()),
        "shared_pixels_found": float((found & shared).sum() / (2 * shared.sum())),
        # three pixels are a hundredth of the image
        "images_with_absent_class": float((absent.sum(dim=(2, 3)).amax(dim=1) > 3).float().mean()),
    }


def trivial_answers(pairs: MaskedImages) -> dict[str, dict[str, float]]:
    """Scores of masks that need no network; the last is told which digits there are."""
    ink = (pairs.images >= THRESHOLD).expand_as(pairs.masks)
    present = torch.zeros(len(pairs), 10, dtype=torch.bool).scatter(1, pairs.labels, value=True)[:, :, None, None]
    answers = {
        "nothing marked": torch.zeros_like(pairs.masks),
        "all ink as each of the ten digits": ink,
        "both labels given, all ink marked as both digits": ink & present,
    }
    return {name: score(masks, pairs) for name, masks in answers.items()}


def test(steps: int | None) -> None:
    """Test the networks of all complete runs; write docs/segmentation.json and pictures."""
    results, runs = json.loads(RESULTS.read_text()), complete_runs(RUNS, steps)
    pairs, rows, curves = fix_pairs("test", TEST_PAIRS), [], {}
    masks: dict[str, Tensor] = {}
    for name, network in NETWORKS.items():
        for seed, checkpoint in runs[name].items():
            model, state = network.create(), checkpoint["state"]
            model.load_state_dict(checkpoint["model"])
            found = segment(model, pairs.images)
            run = {"model": name, "seed": seed, "steps": state["step"], "processor_seconds": state["seconds"]}
            rows.append(run | score(found, pairs) | {"curve": state["curve"]})
            # pictures are of the lowest seed
            if network.title not in masks:
                masks[network.title] = found
                curves[network.title] = state["curve"]
    keys = ("dice_all", "dice", "iou", "shared_pixels_found", "images_with_absent_class", "processor_seconds")
    results |= {
        "models": {
            name: {
                "title": network.title,
                "preset": network.preset,
                "options": network.options,
                "lr": network.lr,
                "parameters": sum(p.numel() for p in network.create().parameters()),
                "steps": sorted({row["steps"] for row in rows if row["model"] == name}),
                "seeds": sum(row["model"] == name for row in rows),
                **{key: _mean([row[key] for row in rows if row["model"] == name]) for key in keys},
            }
            for name, network in NETWORKS.items()
        },
        "runs": rows,
        "trivial": trivial_answers(pairs),
        "settings": {"batch": BATCH, "side": SIDE, "test_pairs": TEST_PAIRS, "held_out_pairs": HELD_OUT_PAIRS}
        | {"loss": "mask_losses", "threshold": THRESHOLD, "warm_up": WARM_UP, "decay": DECAY},
        "machine": {"torch": torch.__version__, "capsnet": capsnet.__version__, "date": time.strftime("%Y-%m-%d")},
    }
    results.pop("all_ink_as_every_digit", None)
    _write_results(results)
    (PICTURES / "segmentation.png").write_bytes(to_png(draw_segmentation(pairs, masks)))
    held_out = trivial_answers(fix_pairs("held-out", HELD_OUT_PAIRS))
    trivial = held_out["all ink as each of the ten digits"]["dice_all"]
    (PICTURES / "segmentation-learning.png").write_bytes(to_png(draw_learning(curves, trivial)))


def _mean(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.mean(values), "std": statistics.stdev(values) if len(values) > 1 else 0.0}


def _write_results(results: dict[str, object]) -> None:
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def peak_bytes(side: int, max_votes: int | None) -> int:
    """What a forward and backward pass of one image adds to this process at its peak."""
    torch.set_num_threads(1)
    # libraries allocate memory on first use
    create_segmenter("segcaps", image_shape=(1, 16, 16))(torch.rand(1, 1, 16, 16)).lengths.sum().backward()
    model = create_segmenter("segcaps", image_shape=(1, side, side), max_votes=max_votes)
    image = torch.rand(1, 1, side, side)
    return round(2**20 * peak_of(lambda: model(image).lengths.sum().backward(), image.device))


def memory() -> None:
    """Measure what a forward and backward pass of one image adds to a process at its peak."""
    rows: list[dict[str, float | str]] = []
    context = multiprocessing.get_context("spawn")
    for side in MEMORY_SIDES:
        for path, max_votes in (("all votes", None), ("row by row", 2**22)):
            # each in a new process, which holds no memory that another pass has freed
            with ProcessPoolExecutor(1, mp_context=context) as process:
                added = process.submit(peak_bytes, side, max_votes).result()
            rows.append({"side": side, "path": path, "bytes": added})
    votes = {str(side): votes_bytes(side) for side in MEMORY_SIDES}
    _write_results(json.loads(RESULTS.read_text()) | {"memory": rows, "votes_bytes": votes})


def votes_bytes(side: int) -> int:
    """Bytes of the votes of all layers for one image in float32."""
    model = create_segmenter("segcaps", image_shape=(1, 16, 16))
    total = 0

    def add(layer: nn.Module, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        nonlocal total
        total += output[0].numel() * layer.num_child_types

    for layer in model.modules():
        if hasattr(layer, "num_child_types"):
            layer.register_forward_hook(add)
    with torch.no_grad():
        model(torch.rand(1, 1, 16, 16))
    return 4 * total * side**2 // 16**2


def main() -> None:
    """Train, test or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    training = verbs.add_parser("train")
    training.add_argument("network", choices=NETWORKS)
    training.add_argument("--steps", type=int, required=True)
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--lr", type=float, help="another learning rate, in a run of its own that is not tested")
    testing = verbs.add_parser("test")
    testing.add_argument("--steps", type=int, help="only runs of this length")
    verbs.add_parser("memory")
    options = parser.parse_args()
    if options.verb == "train":
        train(options.network, options.seed, options.steps, options.lr)
    elif options.verb == "test":
        test(options.steps)
    else:
        memory()


if __name__ == "__main__":
    main()
