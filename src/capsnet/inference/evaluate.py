"""Evaluation of a model on a split of single images or of pairs."""

import warnings
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path

import torch

from capsnet.capsules import CapsNetOutput
from capsnet.data import Dataset, ImageData
from capsnet.data.pairs import Pairing, fixed_pairs
from capsnet.inference.evaluation import Evaluation as Evaluation
from capsnet.inference.evaluation import wilson_interval as wilson_interval
from capsnet.inference.images import TestImages, find_images
from capsnet.inference.images import load_data_for as load_data_for
from capsnet.inference.images import match_classes as match_classes
from capsnet.inference.pair_metrics import exact_pairs, find_pairs, match_found
from capsnet.inference.predictions import Predictions, hash_names
from capsnet.losses import reconstruction_loss
from capsnet.losses.class_loss import class_loss, each_label
from capsnet.models import CapsuleModel
from capsnet.models.eval_mode import eval_mode
from capsnet.precision import use_precision
from capsnet.runs.folder import FileResult, Run, open_model

_BATCH = 128
# enough pixels to keep a GPU busy: 1024 images of 28x28
_PIXELS_ON_GPU = 1024 * 28 * 28


def predict_batches(
    model: CapsuleModel, data: ImageData, *, batch_size: int = 0
) -> Iterator[tuple[torch.Tensor, torch.Tensor, CapsNetOutput]]:
    """Run a model over a data set; yield its inputs in [0, 1], labels and output, on its device.

    A `batch_size` of 0 means 128, or on a GPU as many images as keep it busy.
    """
    device, inputs = model.device, model.inputs
    batch_size = batch_size or evaluation_batch(device, data)
    for start in range(0, len(data), batch_size):
        part = slice(start, start + batch_size)
        pixels, labels = inputs.view(data.images[part].to(device)), data.labels[part].to(device)
        if data.features is None:
            yield pixels / 255, labels, model(inputs.normalize(pixels))
        else:
            yield pixels / 255, labels, model.classify(data.features.read(part).to(device))


def evaluation_batch(device: torch.device, data: ImageData) -> int:
    """Batch size for evaluation."""
    return _BATCH if device.type != "cuda" else max(_BATCH, _PIXELS_ON_GPU // data.images[0].numel())


@torch.no_grad()
def evaluate_model(model: CapsuleModel, data: ImageData, *, name: str, split: str) -> Evaluation:
    """Evaluate a model on images in memory."""
    device, classes = model.device, len(data.class_names)
    margin, error = torch.zeros((), device=device), torch.zeros((), device=device)
    confusion = torch.zeros(classes * classes, dtype=torch.long, device=device)
    has_decoder = model.has_decoder
    all_lengths: list[torch.Tensor] = []
    guesses: list[torch.Tensor] = []
    with eval_mode(model):
        for images, labels, output in predict_batches(model, data):
            margin += class_loss(model.loss, output, labels).sum()
            if has_decoder:
                error += reconstruction_loss(model.reconstruct(output.capsules), images, reduction="sum")
            guesses.append(output.lengths.argmax(dim=1))
            confusion += torch.bincount(labels * classes + guesses[-1], minlength=classes * classes)
            if data.files is not None:
                all_lengths.append(output.lengths.cpu())
    table = confusion.view(classes, classes)
    pixels = prod(model.input_shape)
    return Evaluation(
        data=name,
        split=split,
        n=len(data),
        accuracy=int(table.diagonal().sum()) / len(data),
        margin_loss=float(margin) / len(data),
        reconstruction_mse=float(error) / len(data) / pixels if has_decoder else None,
        confusion=table.tolist(),
        class_names=data.class_names,
        files=None if data.files is None else _list_files(data.files, data.labels, torch.cat(all_lengths)),
        predictions=Predictions(data.labels.cpu(), torch.cat(guesses).cpu(), hash_names(data.files)),
        originals=data.originals,
    )


def _list_files(files: Sequence[str], labels: torch.Tensor, lengths: torch.Tensor) -> tuple[FileResult, ...]:
    rows = zip(files, labels.tolist(), lengths.argmax(dim=1).tolist(), lengths.tolist(), strict=True)
    return tuple(
        {"file": file, "label": label, "prediction": prediction, "lengths": row}
        for file, label, prediction, row in rows
    )


@torch.no_grad()
def evaluate_pairs(model: CapsuleModel, data: ImageData, pairing: Pairing, *, name: str, split: str) -> Evaluation:
    """Evaluate a model on the pairs that `pairing` makes of single digits, a batch at a time."""
    device, classes = model.device, len(data.class_names)
    margin, error, exact = (torch.zeros((), device=device, dtype=torch.float64) for _ in range(3))
    confusion = torch.zeros(classes * classes, dtype=torch.long, device=device)
    has_decoder = model.has_decoder
    with eval_mode(model):
        for pairs in fixed_pairs(data.images.to(device), data.labels.to(device), pairing, _BATCH):
            output = model(model.inputs(pairs.images))
            margin += class_loss(model.loss, output, pairs.labels).sum()
            if has_decoder:
                for labels, targets in each_label(pairs.labels, pairs.singles.float() / 255):
                    drawn = model.reconstruct(output.capsules, labels)
                    error += reconstruction_loss(drawn, targets, reduction="sum")
            predicted = find_pairs(output.lengths)
            exact += exact_pairs(predicted, pairs.labels).sum()
            guesses = match_found(predicted, pairs.labels)
            confusion += torch.bincount((pairs.labels * classes + guesses).flatten(), minlength=classes * classes)
    table, count = confusion.view(classes, classes), len(data) * pairing.pairs_per_digit
    return Evaluation(
        data=name,
        split=split,
        n=count,
        accuracy=int(exact) / count,
        margin_loss=float(margin) / count,
        reconstruction_mse=float(error) / count / 2 / prod(model.input_shape) if has_decoder else None,
        confusion=table.tolist(),
        class_names=data.class_names,
        digit_error_percent=round(100 * (1 - int(table.diagonal().sum()) / (2 * count)), 6),
        originals=len(data) if pairing.pairs_per_digit > 1 else None,
    )


def evaluate_part(
    model: CapsuleModel, data: ImageData, pairing: Pairing | None, *, name: str, split: str
) -> Evaluation:
    """Evaluate a model on single images, or on the pairs that `pairing` makes of them."""
    if pairing is None:
        return evaluate_model(model, data, name=name, split=split)
    return evaluate_pairs(model, data, pairing, name=name, split=split)


def evaluate(
    model_or_run: CapsuleModel | Run | Path | str,
    data: str | Path | Dataset | None = None,
    split: str | None = None,
    *,
    data_dir: Path | str | None = None,
) -> Evaluation:
    """Evaluate a model on a data set.

    Args:
        model_or_run: a model, a run, or what `capsnet.load` accepts: a folder, a file or a name.
        data: a data set's name, a folder, or a data set; None: the model's training data.
        split: `"train"`, `"validation"` or `"test"`. None: all images of a folder, or of a file of arrays without a
            test split, that the model was not trained on, else the test split.
        data_dir: folder that holds the named data sets.

    Raises:
        UserError: an unknown data set or split, or images or classes that do not fit the model.

    Warns:
        UserWarning: images that the run learned from may be among those tested, or its data have changed.

    Example:
        >>> evaluate("runs/quickstart", "digits").error_percent
    """
    model, run = open_model(model_or_run)
    folder = None if data_dir is None else Path(data_dir)
    images = find_images(model, data, split, run=run, data_dir=folder)
    for caution in images.cautions:
        warnings.warn(caution, stacklevel=2)
    return evaluate_images(model, images)


def evaluate_images(model: CapsuleModel, images: TestImages) -> Evaluation:
    """Evaluate a model on the images that `find_images` returned for it; in float32 on a GPU too."""
    with use_precision("fp32", model.device):
        return evaluate_part(model, images.data, images.pairing, name=images.name, split=images.split)
