"""Prediction: what a trained model answers to images and image files, and whether the answer is unsure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from capsnet.data.dataset import Preparation
from capsnet.data.images import collect_notes as collect_notes
from capsnet.data.images import fit_image, open_image, probe_image
from capsnet.data.photo import WORK_SIDE, center_digit
from capsnet.data.pixels import ImageInfo, PixelRange, check_range, decide_range
from capsnet.errors import UserError
from capsnet.inference.doubt import find_reasons, read_signals
from capsnet.models import CapsuleModel
from capsnet.runs import Run
from capsnet.runs.folder import open_model

_BATCH = 64
NO_DIGIT = "no digit found, the image is uniform"


@dataclass(frozen=True)
class Prediction:
    """A model's answer to an image.

    Args:
        label: class of the longest capsule; None where no digit was found in the image.
        class_name: its name.
        length: of the longest capsule.
        lengths: of all class capsules.
        unsure: whether the answer may not be relied on; None for a model without measured limits (`Doubt`).
        reasons: why it is unsure, in words.
        file: where the image came from; None for an image in memory.
        labels: the classes of the two longest capsules, of a model that was trained on pairs.
        poses: of all class capsules; None unless they were wanted.
    """

    label: int | None
    class_name: str | None
    length: float
    lengths: tuple[float, ...]
    unsure: bool | None = None
    reasons: tuple[str, ...] = ()
    file: str | None = None
    labels: tuple[int, ...] | None = None
    poses: tuple[tuple[float, ...], ...] | None = None


@dataclass(frozen=True)
class Failure:
    """A file that could not be read.

    Args:
        file: its path.
        error: what is wrong with it, in one line.
    """

    file: str
    error: str


@dataclass(frozen=True)
class PreparedImage:
    """An image in the form of a model's data set.

    Args:
        pixels: as a data set holds them.
        pieces: of ink side by side; None where the image is not prepared as a digit; 0: it holds no digit.
        file: where it came from.
    """

    pixels: UInt8[Tensor, "c h w"]
    pieces: int | None = None
    file: str | None = None


@dataclass(frozen=True)
class Answer:
    """A prediction with the pictures that belong to it.

    Args:
        prediction: the answer.
        seen: what the network saw.
        drawn: what the decoder draws from the longest capsule; None without a decoder.
    """

    prediction: Prediction
    seen: UInt8[Tensor, "c h w"]
    drawn: Float[Tensor, "c h w"] | None


def predict(
    model: CapsuleModel | Run | Path | str,
    images: Tensor | np.ndarray | Path | str | Image.Image | Sequence[Path | str | Image.Image],
    *,
    preparation: Preparation | None = None,
    pixel_range: PixelRange | None = None,
    poses: bool = False,
) -> list[Prediction]:
    """Predict the classes of images, a batch at a time.

    Args:
        model: a model, a run, or what `capsnet.load` takes.
        images: uint8 images as the model's data set holds them, `b c h w` or `c h w`; or image files or Pillow images
            of any size, which are prepared for the model.
        preparation: `"digit"` or `"fit"`, in place of the model's own; for files and Pillow images.
        pixel_range: values that become black and white, of files of more than 8 bits, in place of the model's own.
        poses: keep the poses of the class capsules, too.

    Returns:
        A prediction for each image, in order.

    Raises:
        UserError: images of another type or shape than the model's, or a file that cannot be read.

    Example:
        >>> [answer] = predict("efficient-capsnet-mnist", "seven.png")
        >>> answer.class_name, answer.unsure
        ('7', False)
    """
    network, _ = open_model(model)
    if isinstance(images, np.ndarray) and images.dtype.kind not in "buif":
        raise UserError(f"images must be uint8, or files, got an array of {images.dtype}; give files as a list")
    if isinstance(images, Tensor | np.ndarray):
        prepared: Iterable[PreparedImage | Failure] = _split(network, torch.as_tensor(images))
    else:
        sources = _list_sources(images)
        if pixel_range is None:
            pixel_range = choose_range(network, [source for source in sources if not isinstance(source, Image.Image)])[
                0
            ]
        prepared = (_prepare(network, source, preparation, pixel_range) for source in sources)
    predictions = []
    for answer in answer_prepared(network, prepared, poses=poses):
        if isinstance(answer, Failure):
            raise UserError(answer.error)
        predictions.append(answer.prediction)
    return predictions


def _list_sources(images: object) -> list[Path | str | Image.Image]:
    """Files and Pillow images, of one or of several."""
    if isinstance(images, Path | str | Image.Image):
        return [images]
    sources = []
    for source in images if isinstance(images, Iterable) else [images]:
        if not isinstance(source, Path | str | Image.Image):
            raise UserError(
                f"images must be a tensor, an array, or files or Pillow images, got {type(source).__name__}"
            )
        sources.append(source)
    return sources


def choose_range(
    model: CapsuleModel, files: Iterable[Path | str], pixel_range: PixelRange | None = None
) -> tuple[PixelRange | None, list[ImageInfo]]:
    """The range of pixel values for files that are given together, and what their headers say.

    It is the given range; else the one that the model was trained with; for a model without one it is decided from all
    of the files. Files that cannot be read have no part in it.

    Raises:
        UserError: no single range fits the files, or the given one is none.
    """
    if pixel_range is not None:
        check_range(pixel_range)
    infos = []
    for file in files:
        try:
            infos.append(probe_image(Path(file)))
        except UserError:
            # named when it is read
            continue
    return pixel_range or model.inputs.pixel_range or decide_range(infos), infos


def prepare_picture(
    image: Image.Image, model: CapsuleModel, preparation: Preparation | None = None, file: str | None = None
) -> PreparedImage:
    """Bring a picture into the form of a model's data set.

    Args:
        image: of any size.
        model: as `capsnet.load` gives it.
        preparation: as MNIST was made (`"digit"`) or scaled into the frame (`"fit"`); None: the model's own.
        file: where it came from.

    Raises:
        UserError: a model of neither 1 nor 3 channels.
    """
    channels, height, width = _picture_shape(model)
    gray_or_color = image.convert("L" if channels == 1 else "RGB")
    pieces = None
    if _is_digit(model, preparation):
        digit = center_digit(gray_or_color, height, width)
        frame, pieces = digit.image, digit.pieces
    else:
        frame = fit_image(gray_or_color, height, width)
    pixels = torch.from_numpy(np.array(frame).reshape(height, width, channels)).permute(2, 0, 1)
    return PreparedImage(pixels, pieces, file)


def answer_files(
    model: CapsuleModel,
    files: Iterable[Path | str],
    *,
    preparation: Preparation | None = None,
    pixel_range: PixelRange | None = None,
    poses: bool = False,
) -> Iterator[Answer | Failure]:
    """Answer to image files one after another; memory does not grow with their number.

    Yields:
        For each file, in order, its answer, or why it cannot be read.

    Raises:
        UserError: a model of neither 1 nor 3 channels.
    """
    _picture_shape(model)
    return answer_prepared(model, (_prepare(model, file, preparation, pixel_range) for file in files), poses=poses)


@torch.inference_mode()
def answer_prepared(
    model: CapsuleModel, images: Iterable[PreparedImage | Failure], *, poses: bool = False
) -> Iterator[Answer | Failure]:
    """Answer to prepared images in batches; failures are passed on in their places."""
    source = iter(images)
    while batch := list(islice(source, _BATCH)):
        prepared = [image for image in batch if isinstance(image, PreparedImage)]
        answers = iter(_answer_batch(model, prepared, poses=poses)) if prepared else iter(())
        for image in batch:
            yield image if isinstance(image, Failure) else next(answers)


def _answer_batch(model: CapsuleModel, images: Sequence[PreparedImage], *, poses: bool) -> list[Answer]:
    inputs, device = model.inputs, model.device
    seen = inputs.view(torch.stack([image.pixels for image in images]).to(device))
    output = model(inputs.normalize(seen))
    has_decoder = model.has_decoder
    drawn = model.reconstruct(output.capsules) if has_decoder else None
    doubt = model.doubt
    reasons: list[tuple[str, ...]] = [()] * len(images)
    if doubt is not None:
        counts = [image.pieces for image in images if image.pieces is not None]
        pieces = torch.tensor(counts) if len(counts) == len(images) else None
        reasons = find_reasons(read_signals(output, seen / 255, drawn, pieces), doubt)
    shown = seen.round().to(torch.uint8).cpu()
    all_poses = output.capsules.poses.float().tolist() if poses else [None] * len(images)
    drawings = [None] * len(images) if drawn is None else list(drawn.float().cpu())
    answers = []
    for index, lengths in enumerate(output.lengths.float().tolist()):
        why = None if doubt is None else reasons[index]
        prediction = _predict(model, images[index], lengths, why, all_poses[index])
        answers.append(Answer(prediction, shown[index], drawings[index]))
    return answers


def _predict(
    model: CapsuleModel,
    image: PreparedImage,
    lengths: Sequence[float],
    reasons: tuple[str, ...] | None,
    poses: Sequence[Sequence[float]] | None,
) -> Prediction:
    names = model.class_names
    pairs = model.pairing is not None
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    label: int | None = order[0]
    if image.pieces == 0:
        label, reasons = None, None if reasons is None else (NO_DIGIT,)
    return Prediction(
        label=label,
        class_name=None if label is None else names[label],
        length=lengths[order[0]],
        lengths=tuple(lengths),
        unsure=None if reasons is None else bool(reasons),
        reasons=reasons or (),
        file=image.file,
        labels=tuple(order[:2]) if pairs else None,
        poses=None if poses is None else tuple(tuple(pose) for pose in poses),
    )


def _prepare(
    model: CapsuleModel,
    source: Path | str | Image.Image,
    preparation: Preparation | None,
    pixel_range: PixelRange | None,
) -> PreparedImage | Failure:
    if isinstance(source, Image.Image):
        return prepare_picture(source, model, preparation)
    channels, height, width = _picture_shape(model)
    side = WORK_SIDE if _is_digit(model, preparation) else max(height, width)
    try:
        image = open_image(Path(source), color=channels == 3, pixel_range=pixel_range, side=side)
    except UserError as fault:
        return Failure(str(source), str(fault))
    return prepare_picture(image, model, preparation, str(source))


def _is_digit(model: CapsuleModel, preparation: Preparation | None) -> bool:
    own = model.preparation
    return (preparation or own) == "digit" and model.inputs.image_shape[0] == 1


def _picture_shape(model: CapsuleModel) -> tuple[int, int, int]:
    channels, height, width = model.inputs.image_shape
    if channels not in (1, 3):
        raise UserError(f"this network sees {channels} channels at once, a drawing or photo has 1 or 3; choose another")
    return channels, height, width


def _split(model: CapsuleModel, images: Tensor) -> Iterator[PreparedImage]:
    shape = model.inputs.image_shape
    batch = images[None] if images.ndim == 3 else images
    if batch.dtype != torch.uint8 or batch.shape[1:] != shape:
        raise UserError(
            f"images must be uint8 of the shape b x {shape}, got {images.dtype} of {tuple(images.shape)}; give files "
            "or Pillow images to have them prepared"
        )
    return (PreparedImage(image) for image in batch)
