"""Predict the classes of images and image files, and whether a prediction is unsure."""

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from capsnet.bounds import check_choice
from capsnet.data.dataset import Preparation
from capsnet.data.images import choose_range, collect_notes, fit_pixels, open_picture, read_pixels
from capsnet.data.pixels import PixelRange
from capsnet.errors import UserError
from capsnet.inference.doubt import find_reasons, read_signals
from capsnet.models import CapsuleModel
from capsnet.models.eval_mode import eval_mode
from capsnet.precision import use_precision
from capsnet.prediction import NO_DIGIT as NO_DIGIT
from capsnet.prediction import NOT_FINITE, make_prediction
from capsnet.prediction import Failure as Failure
from capsnet.prediction import Prediction as Prediction
from capsnet.runs import Run
from capsnet.runs.folder import open_model

_BATCH = 64


@dataclass(frozen=True)
class PreparedImage:
    """An image in the form of a model's data set.

    Args:
        pixels: in the format of a data set.
        pieces: number of separate pieces of ink; None if the image is not prepared as a digit; 0: it holds no digit.
        file: where it came from.
    """

    pixels: UInt8[Tensor, "c h w"]
    pieces: int | None = None
    file: str | None = None


@dataclass(frozen=True)
class Answer:
    """A prediction with its input and reconstruction.

    Args:
        prediction: of the image.
        seen: the network's input.
        drawn: reconstruction from the longest capsule; None without a decoder.
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
        model: a model, a run, or what `capsnet.load` accepts.
        images: uint8 images as the model's data set holds them, `b c h w` or `c h w`; or image files or Pillow images
            of any size, which are prepared for the model.
        preparation: `"digit"` or `"fit"`; None: the model's own; for files and Pillow images.
        pixel_range: values that become black and white in files of more than 8 bits; None: the model's own.
        poses: include the poses of the class capsules.

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
    check_choice("preparation", preparation, Preparation | None)
    if isinstance(images, np.ndarray) and images.dtype.kind not in "buif":
        raise UserError(f"images must be uint8, or files, got an array of {images.dtype}; give files as a list")
    if isinstance(images, np.ndarray):
        # torch takes no array that is reversed, such as BGR to RGB
        images = torch.from_numpy(np.ascontiguousarray(images))
    if isinstance(images, Tensor):
        prepared: Iterable[PreparedImage | Failure] = _split(network, images)
    else:
        sources = _list_sources(images)
        files = [source for source in sources if not isinstance(source, Image.Image)]
        pixel_range, infos = choose_range(files, network.inputs.pixel_range, pixel_range)
        for note in collect_notes(infos):
            warnings.warn(note, stacklevel=2)
        prepared = (_prepare(network, source, preparation, pixel_range) for source in sources)
    predictions: list[Prediction] = []
    for answer in answer_prepared(network, prepared, poses=poses):
        if isinstance(answer, Failure):
            raise UserError(answer.error)
        if not all(map(math.isfinite, answer.prediction.lengths)):
            raise UserError(f"{answer.prediction.file or f'image {len(predictions)}'}: {NOT_FINITE}")
        predictions.append(answer.prediction)
    return predictions


def _list_sources(images: object) -> list[Path | str | Image.Image]:
    """The images as a list of files and Pillow images."""
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


def prepare_picture(
    image: Image.Image,
    model: CapsuleModel,
    preparation: Preparation | None = None,
    file: str | None = None,
    pixel_range: PixelRange | None = None,
) -> PreparedImage:
    """Convert a picture to the format of a model's data set, as an image file of it would be.

    Args:
        image: of any size and mode.
        model: as `capsnet.load` returns it.
        preparation: as MNIST was made (`"digit"`) or scaled to fit (`"fit"`); None: the model's own.
        file: where it came from.
        pixel_range: values that become black and white, for a picture of more than 8 bits; None: the model's own, or
            decided from this picture.

    Raises:
        UserError: a model of neither 1 nor 3 channels, or a picture that cannot be read.
    """
    shape = _picture_shape(model)
    picture = open_picture(image, color=shape[0] == 3, pixel_range=pixel_range or model.inputs.pixel_range)
    pixels, pieces = fit_pixels(picture, shape, preparation or model.preparation)
    return PreparedImage(torch.from_numpy(pixels), pieces, file)


def answer_files(
    model: CapsuleModel,
    files: Iterable[Path | str],
    *,
    preparation: Preparation | None = None,
    pixel_range: PixelRange | None = None,
    poses: bool = False,
) -> Iterator[Answer | Failure]:
    """Predict image files one after another; memory does not grow with their number.

    Args:
        model: as `capsnet.load` returns it.
        files: image files.
        preparation: `"digit"` or `"fit"`; None: the model's own.
        pixel_range: values that become black and white, for files of more than 8 bits; None: the model's own, or
            decided from each file.
        poses: include the poses of the class capsules.

    Yields:
        For each file, in order, its answer, or the reason why it cannot be read.

    Raises:
        UserError: a model of neither 1 nor 3 channels.
    """
    _picture_shape(model)
    return answer_prepared(model, (_prepare(model, file, preparation, pixel_range) for file in files), poses=poses)


@torch.inference_mode()
def answer_prepared(
    model: CapsuleModel, images: Iterable[PreparedImage | Failure], *, poses: bool = False
) -> Iterator[Answer | Failure]:
    """Predict prepared images in batches, in float32 on a GPU too; failures are passed on in order."""
    source = iter(images)
    while batch := list(islice(source, _BATCH)):
        prepared = [image for image in batch if isinstance(image, PreparedImage)]
        # not around the whole: the caller's own work comes between two batches
        with use_precision("fp32", model.device), eval_mode(model):
            answers = iter(_answer_batch(model, prepared, poses=poses)) if prepared else iter(())
        for image in batch:
            yield image if isinstance(image, Failure) else next(answers)


def _answer_batch(model: CapsuleModel, images: Sequence[PreparedImage], *, poses: bool) -> list[Answer]:
    inputs, device = model.inputs, model.device
    pixels = inputs.view(torch.stack([image.pixels for image in images]).to(device))
    output = model(inputs.normalize(pixels))
    has_decoder = model.has_decoder
    drawn = model.reconstruct(output.capsules) if has_decoder else None
    doubt = model.doubt
    reasons: list[tuple[str, ...]] = [()] * len(images)
    if doubt is not None:
        counts = [image.pieces for image in images if image.pieces is not None]
        pieces = torch.tensor(counts) if len(counts) == len(images) else None
        reasons = find_reasons(read_signals(output, pixels / 255, drawn, pieces), doubt)
    shown = pixels.round().to(torch.uint8).cpu()
    all_poses = output.capsules.poses.float().tolist() if poses else [None] * len(images)
    drawings = [None] * len(images) if drawn is None else list(drawn.float().cpu())
    answers = []
    for index, lengths in enumerate(output.lengths.float().tolist()):
        why = None if doubt is None else reasons[index]
        prediction = make_prediction(
            model.class_names,
            lengths,
            pairs=model.pairing is not None,
            pieces=images[index].pieces,
            reasons=why,
            poses=all_poses[index],
            file=images[index].file,
        )
        answers.append(Answer(prediction, shown[index], drawings[index]))
    return answers


def _prepare(
    model: CapsuleModel,
    source: Path | str | Image.Image,
    preparation: Preparation | None,
    pixel_range: PixelRange | None,
) -> PreparedImage | Failure:
    if isinstance(source, Image.Image):
        return prepare_picture(source, model, preparation, pixel_range=pixel_range)
    shape, pixel_range = _picture_shape(model), pixel_range or model.inputs.pixel_range
    try:
        pixels, pieces = read_pixels(Path(source), shape, preparation or model.preparation, pixel_range=pixel_range)
    except UserError as fault:
        return Failure(str(source), str(fault))
    return PreparedImage(torch.from_numpy(pixels), pieces, str(source))


def _picture_shape(model: CapsuleModel) -> tuple[int, int, int]:
    channels, height, width = model.inputs.image_shape
    if channels not in (1, 3):
        raise UserError(
            f"this network takes images of {channels} channels, a drawing or photo has 1 or 3; choose another"
        )
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
