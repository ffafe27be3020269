"""Evaluation of a model on a split."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import torch
from torch import nn

from capsnet.capsules import CapsNetOutput
from capsnet.data import Dataset, ImageData, load_data
from capsnet.errors import UserError
from capsnet.losses import reconstruction_loss
from capsnet.training.objective import class_loss
from capsnet.training.run import Run, SplitResult

_BATCH = 128


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
    """

    data: str
    split: str
    n: int
    accuracy: float
    margin_loss: float
    reconstruction_mse: float | None
    confusion: list[list[int]]

    @property
    def error_percent(self) -> float:
        """Share of wrong images in percent."""
        return 100 * (1 - self.accuracy)

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
        return {
            "data": self.data,
            "split": self.split,
            "n": self.n,
            "accuracy": self.accuracy,
            "error_percent": round(self.error_percent, 6),
            "margin_loss": self.margin_loss,
            "reconstruction_mse": self.reconstruction_mse,
            "confusion": self.confusion,
        }


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval, in percent, of a share that was found among n.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    z = 1.959964
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n**2))
    return 100 * max(centre - half, 0.0), 100 * min(centre + half, 1.0)


def predict_batches(
    model: nn.Module, data: ImageData, *, batch_size: int = _BATCH
) -> Iterator[tuple[torch.Tensor, torch.Tensor, CapsNetOutput]]:
    """Run a model over a data set: images in [0, 1], labels, output, on the model's device."""
    device = next(model.parameters()).device
    for images, labels in zip(torch.split(data.images, batch_size), torch.split(data.labels, batch_size), strict=True):
        inputs = images.to(device).float() / 255
        yield inputs, labels.to(device), model(inputs)


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
    pixels = data.images[0].numel()
    return Evaluation(
        data=name,
        split=split,
        n=len(data),
        accuracy=int(table.diagonal().sum()) / len(data),
        margin_loss=float(margin) / len(data),
        reconstruction_mse=float(error) / len(data) / pixels if has_decoder else None,
        confusion=table.tolist(),
    )


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
    part = match_classes(dataset.test if split == "test" else dataset.train, model, dataset.name)
    return evaluate_model(model, part, name=dataset.name, split=split)


def load_data_for(
    model: nn.Module, name: str, *, data_dir: Path | None = None, skip_unreadable: bool = False
) -> Dataset:
    """Load a data set in the image size of a model; a folder's images are scaled to it."""
    _, height, width = input_shape(model)
    if height != width and Path(name).is_dir():
        raise UserError(f"{name}: images of a folder are square, the model wants {height}x{width}")
    return load_data(name, data_dir=data_dir, image_size=height, skip_unreadable=skip_unreadable)


def input_shape(model: nn.Module) -> tuple[int, int, int]:
    """Channels, height and width that a model wants."""
    channels, height, width = model.input_shape  # type: ignore[misc]
    return channels, height, width


def match_classes(data: ImageData, model: nn.Module, name: str) -> ImageData:
    """The data in the model's channels, with labels in the order of the model's class names.

    Raises:
        UserError: images of another size, or a class that the model does not know.
    """
    channels, height, width = input_shape(model)
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
