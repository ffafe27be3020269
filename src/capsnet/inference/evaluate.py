"""Evaluation of a model on a split, of single images or of pairs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod, sqrt
from pathlib import Path

import torch
from torch import nn

from capsnet.capsules import CapsNetOutput
from capsnet.data import Dataset, ImageData, load_data
from capsnet.data.inputs import Inputs
from capsnet.data.pairs import Pairing, fixed_pairs
from capsnet.errors import UserError
from capsnet.inference.pair_metrics import exact_pairs, find_pairs, match_found
from capsnet.losses import reconstruction_loss
from capsnet.losses.class_loss import class_loss, each_label
from capsnet.runs.folder import Run, SplitResult

_BATCH = 128
# as many pixels as a GPU needs to be busy: 1024 images of 28x28
_PIXELS_ON_GPU = 1024 * 28 * 28


@dataclass(frozen=True)
class Evaluation:
    """How a model does on a split.

    Args:
        data: name of the data set.
        split: `"train"` or `"test"` or `"validation"`.
        n: number of images.
        accuracy: share of images whose longest capsule is that of their class.
        margin_loss: mean over the images; of a model trained by another loss, that loss.
        reconstruction_mse: mean squared error of a pixel, decoded from the longest capsule; None without a decoder.
        confusion: rows are true classes, columns predicted ones.
        digit_error_percent: of pairs only: share of single digits that were not found, in percent.

    Of pairs, n counts pairs; accuracy is the share of pairs whose two digits are both found (exact pairs); the
    reconstruction error is that of each digit, decoded from its own capsule; confusion counts single digits, two for
    each pair.
    """

    data: str
    split: str
    n: int
    accuracy: float
    margin_loss: float
    reconstruction_mse: float | None
    confusion: list[list[int]]
    digit_error_percent: float | None = None

    @property
    def error_percent(self) -> float:
        """Share of wrong images, or of wrong pairs, in percent."""
        return 100 * (1 - self.accuracy)

    @property
    def noun(self) -> str:
        """What n counts: images or pairs."""
        return "images" if self.digit_error_percent is None else "pairs"

    @property
    def error_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the error in percent."""
        return wilson_interval(1 - self.accuracy, self.n)

    @classmethod
    def from_dict(cls, values: SplitResult) -> "Evaluation":
        """Read what `to_dict` gives."""
        return cls(**{name: value for name, value in values.items() if name != "error_percent"})  # type: ignore[arg-type]

    def to_dict(self) -> SplitResult:
        """The object that `capsnet evaluate --json` prints."""
        values: SplitResult = {
            "data": self.data,
            "split": self.split,
            "n": self.n,
            "accuracy": self.accuracy,
            "error_percent": round(self.error_percent, 6),
            "margin_loss": self.margin_loss,
            "reconstruction_mse": self.reconstruction_mse,
            "confusion": self.confusion,
        }
        if self.digit_error_percent is not None:
            values["digit_error_percent"] = self.digit_error_percent
        return values


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval, in percent, of a share that was found among n.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    z = 1.959964
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n**2))
    return 100 * max(centre - half, 0.0), 100 * min(centre + half, 1.0)


def predict_batches(
    model: nn.Module, data: ImageData, *, batch_size: int = 0
) -> Iterator[tuple[torch.Tensor, torch.Tensor, CapsNetOutput]]:
    """Run a model over a data set: the part of the images that it sees in [0, 1], labels, output, on its device.

    A `batch_size` of 0 is 128, or on a GPU as many as keep it busy.
    """
    device, inputs = next(model.parameters()).device, find_inputs(model)
    batch_size = batch_size or evaluation_batch(device, data)
    for images, labels in zip(torch.split(data.images, batch_size), torch.split(data.labels, batch_size), strict=True):
        seen = inputs.view(images.to(device))
        yield seen / 255, labels.to(device), model(inputs.normalize(seen))


def evaluation_batch(device: torch.device, data: ImageData) -> int:
    """Images of a batch where nothing is learned."""
    return _BATCH if device.type != "cuda" else max(_BATCH, _PIXELS_ON_GPU // data.images[0].numel())


@torch.no_grad()
def evaluate_model(model: nn.Module, data: ImageData, *, name: str, split: str) -> Evaluation:
    """Evaluate a model on images that lie in memory."""
    was_training = model.training
    model.eval()
    device, classes = next(model.parameters()).device, len(data.class_names)
    margin, error = torch.zeros((), device=device), torch.zeros((), device=device)
    confusion = torch.zeros(classes * classes, dtype=torch.long, device=device)
    has_decoder = getattr(model, "decoder", None) is not None
    for images, labels, output in predict_batches(model, data):
        margin += class_loss(model, output, labels).sum()
        if has_decoder:
            error += reconstruction_loss(model.reconstruct(output.capsules), images, reduction="sum")  # type: ignore[operator]
        confusion += torch.bincount(labels * classes + output.lengths.argmax(dim=1), minlength=classes * classes)
    model.train(was_training)
    table = confusion.view(classes, classes)
    pixels = prod(input_shape(model))
    return Evaluation(
        data=name,
        split=split,
        n=len(data),
        accuracy=int(table.diagonal().sum()) / len(data),
        margin_loss=float(margin) / len(data),
        reconstruction_mse=float(error) / len(data) / pixels if has_decoder else None,
        confusion=table.tolist(),
    )


@torch.no_grad()
def evaluate_pairs(model: nn.Module, data: ImageData, pairing: Pairing, *, name: str, split: str) -> Evaluation:
    """Evaluate a model on the pairs that `pairing` makes of single digits; they are made a batch at a time."""
    was_training = model.training
    model.eval()
    device, classes = next(model.parameters()).device, len(data.class_names)
    margin, error, exact = (torch.zeros((), device=device, dtype=torch.float64) for _ in range(3))
    confusion = torch.zeros(classes * classes, dtype=torch.long, device=device)
    has_decoder = getattr(model, "decoder", None) is not None
    for pairs in fixed_pairs(data.images.to(device), data.labels.to(device), pairing, _BATCH):
        output = model(pairs.images.float() / 255)
        margin += class_loss(model, output, pairs.labels).sum()
        if has_decoder:
            for labels, targets in each_label(pairs.labels, pairs.singles.float() / 255):
                drawn = model.reconstruct(output.capsules, labels)  # type: ignore[operator]
                error += reconstruction_loss(drawn, targets, reduction="sum")
        found = find_pairs(output.lengths)
        exact += exact_pairs(found, pairs.labels).sum()
        guesses = match_found(found, pairs.labels)
        confusion += torch.bincount((pairs.labels * classes + guesses).flatten(), minlength=classes * classes)
    model.train(was_training)
    table, count = confusion.view(classes, classes), len(data) * pairing.pairs_per_digit
    return Evaluation(
        data=name,
        split=split,
        n=count,
        accuracy=int(exact) / count,
        margin_loss=float(margin) / count,
        reconstruction_mse=float(error) / count / 2 / prod(input_shape(model)) if has_decoder else None,
        confusion=table.tolist(),
        digit_error_percent=round(100 * (1 - int(table.diagonal().sum()) / (2 * count)), 6),
    )


def evaluate_part(model: nn.Module, data: ImageData, pairing: Pairing | None, *, name: str, split: str) -> Evaluation:
    """Evaluate a model on single images, or on the pairs that `pairing` makes of them."""
    if pairing is None:
        return evaluate_model(model, data, name=name, split=split)
    return evaluate_pairs(model, data, pairing, name=name, split=split)


def evaluate(
    model_or_run: nn.Module | Run, data: str | Path | Dataset, split: str = "test", *, data_dir: Path | None = None
) -> Evaluation:
    """Evaluate a model on a data set.

    Args:
        model_or_run: a model with `input_shape` and `class_names`, or a run.
        data: a data set's name, a folder, or a data set.
        split: `"test"` or `"train"`.
        data_dir: where named data sets lie.

    Raises:
        UserError: an unknown data set or split, or images or classes that are not the model's.

    Example:
        >>> evaluate(capsnet.load("runs/quickstart"), "digits").error_percent
    """
    if split not in ("train", "test"):
        raise UserError(f"split must be 'train' or 'test', got {split!r}")
    model = model_or_run.load_model() if isinstance(model_or_run, Run) else model_or_run
    dataset = data if isinstance(data, Dataset) else load_data_for(model, str(data), data_dir=data_dir)
    chosen = dataset.test if split == "test" else dataset.train
    part = match_classes(chosen, model, dataset.name, dataset.pairing)
    return evaluate_part(model, part, dataset.pairing, name=dataset.name, split=split)


def load_data_for(
    model: nn.Module, name: str, *, data_dir: Path | None = None, skip_unreadable: bool = False
) -> Dataset:
    """Load a data set for a model: a folder's images in the size that it wants, pairs as it was trained on them."""
    _, height, width = find_inputs(model).image_shape
    if height != width and Path(name).is_dir():
        raise UserError(f"{name}: images of a folder are square, the model wants {height}x{width}")
    dataset = load_data(name, data_dir=data_dir, image_size=height, skip_unreadable=skip_unreadable)
    pairing: Pairing | None = getattr(model, "pairing", None)
    return dataset if None in (dataset.pairing, pairing) else replace(dataset, pairing=pairing)


def input_shape(model: nn.Module) -> tuple[int, int, int]:
    """Channels, height and width of a model's input."""
    channels, height, width = model.input_shape  # type: ignore[misc]
    return channels, height, width


def find_inputs(model: nn.Module) -> Inputs:
    """How images become a model's inputs: as its weights file says, or whole with pixels in [0, 1]."""
    inputs: Inputs | None = getattr(model, "inputs", None)
    return inputs or Inputs(input_shape(model))


def match_classes(data: ImageData, model: nn.Module, name: str, pairing: Pairing | None = None) -> ImageData:
    """The data in the model's channels, with labels in the order of the model's class names.

    Args:
        data: images as they are stored.
        model: with `class_names`.
        name: of the data, for messages.
        pairing: makes the model's inputs of the images, which are smaller by its padding.

    Raises:
        UserError: images of another size, or a class that the model does not know.
    """
    channels, height, width = find_inputs(model).image_shape
    if pairing is not None:
        height, width = height - 2 * pairing.padding, width - 2 * pairing.padding
    images = data.images
    if images.shape[1] == 1 and channels == 3:
        images = images.expand(-1, 3, -1, -1)
    if images.shape[1:] != (channels, height, width):
        got, wanted = ("x".join(map(str, shape)) for shape in (data.image_shape, (channels, height, width)))
        raise UserError(f"{name}: its images are {got} (channels x height x width), the model wants {wanted}")
    names: tuple[str, ...] = model.class_names  # type: ignore[assignment]
    unknown = [known for known in data.class_names if known not in names]
    if unknown:
        raise UserError(f"{name}: the model does not know the class {unknown[0]!r}; it knows {', '.join(names)}")
    order = torch.tensor([names.index(known) for known in data.class_names])
    return ImageData(images, order[data.labels], names)
