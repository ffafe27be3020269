"""The data that the page shows for an image: lengths, poses, reconstruction, and coupling over the image.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017: lengths (section 2), routing (Procedure 1),
reconstructions (section 4.1), changed dimensions of a pose (section 5.1).
"""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import TypedDict

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from capsnet.analysis.iterations import make_votes, route
from capsnet.analysis.watch import find_class_layer
from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.data.dataset import Preparation
from capsnet.data.images import open_image
from capsnet.errors import UserError
from capsnet.figures.coupling import coupling_shares, find_grid
from capsnet.inference.predict import Answer, answer_prepared, prepare_picture
from capsnet.inference.words import length_word
from capsnet.interop.public_name import public_name
from capsnet.models import CapsuleModel
from capsnet.models.grid import Grid
from capsnet.prediction import NO_DIGIT, NOT_FINITE
from capsnet.runs.weights import count_parameters

MAX_BYTES = 10_000_000
_LONGEST_SIDE = 1024
_MOST_STEPS = 6
_LARGEST = torch.finfo(torch.float32).max


class Picture(TypedDict):
    """An image as the page draws it: bytes in the order row, column, channel, in base64."""

    height: int
    width: int
    channels: int
    pixels: str


class Step(TypedDict):
    """Coupling after an iteration (None: a routing without iterations), as multiples of an even share: `n y x`."""

    iteration: int | None
    shares: list[list[list[float]]]


class CouplingMaps(TypedDict):
    """The grid of the primary capsules, in pixels of the image, and their coupling.

    Args:
        step: pixels between neighbouring positions.
        first: centre of the first position.
        window: side of a position's receptive field.
        steps: one for each iteration on the page.
    """

    step: float
    first: float
    window: int
    steps: list[Step]


class Look(TypedDict):
    """The data that the page shows for an image.

    Args:
        names: of the classes.
        found: class of the longest capsule; for a network that was trained on pairs, of the two longest.
        lengths: of the class capsules.
        poses: of the class capsules.
        seen: the network's input.
        drawn: reconstruction from the longest capsule; None without a decoder.
        places: None if the network has no coupling over the image; `note` gives the reason.
        note: a sentence, or empty.
        about: short description of the network.
        unsure: whether the prediction is unreliable.
        reasons: why it is unsure.
        word: name of a class's score: length, share or activation.
        preparation: how the image was prepared: as a digit, or scaled to fit.
    """

    names: list[str]
    found: list[int]
    lengths: list[float]
    poses: list[list[float]]
    seen: Picture
    drawn: Picture | None
    places: CouplingMaps | None
    note: str
    about: str
    unsure: bool
    reasons: list[str]
    word: str
    preparation: Preparation


def read_image(data: bytes, name: str = "the image", *, pixel_range: tuple[float, float] | None = None) -> Image.Image:
    """Decode an uploaded image safely, and scale it down if it is very large.

    Args:
        data: the contents of the file.
        name: of the file, for messages.
        pixel_range: values that become black and white in files of more than 8 bits, from the model's `inputs`.

    Raises:
        UserError: more than 10 MB or 64 million pixels, not an image, or a damaged one.
    """
    if len(data) > MAX_BYTES:
        raise UserError(f"{name} is larger than {MAX_BYTES // 1_000_000} MB; shrink it first")
    image = open_image(BytesIO(data), color=True, name=name, pixel_range=pixel_range, side=_LONGEST_SIDE)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.BOX)
    return image


@torch.inference_mode()
def look(model: CapsuleModel, image: Image.Image) -> Look:
    """Run a model on an image, and return the data for the page.

    Args:
        model: as `capsnet.load` returns it.
        image: of any size.

    Raises:
        UserError: the model takes neither 1 nor 3 channels.

    Example:
        >>> look(capsnet.load("runs/quickstart"), Image.open("seven.png"))["found"]
        [7]
    """
    inputs, prepared = model.inputs, prepare_picture(image, model)
    [answer] = answer_prepared(model, [prepared])
    assert isinstance(answer, Answer)
    prediction, pixels = answer.prediction, prepared.pixels[None]
    # a network without measured limits gives no reasons
    reasons = list(prediction.reasons) or ([NO_DIGIT] if prediction.label is None else [])
    children, output = watch_children(model, inputs(pixels))
    predicted = output.lengths[0].topk(1 if model.pairing is None else 2).indices.tolist()
    maps, note = _find_maps(model, children, output)
    if not bool(output.lengths.isfinite().all() and output.capsules.poses.isfinite().all()):
        raise UserError(NOT_FINITE)
    poses = output.capsules.poses[0].tolist()
    names = model.class_names
    return {
        "names": list(names),
        "found": predicted,
        "lengths": output.lengths[0].tolist(),
        "poses": poses,
        "seen": _picture(inputs.view(pixels)[0] / 255),
        "drawn": _draw(model, predicted[0], poses[predicted[0]]),
        "places": maps,
        "note": note,
        "about": _about(model),
        "unsure": bool(reasons),
        "reasons": reasons,
        "word": length_word(model),
        "preparation": model.preparation,
    }


def _draw(model: CapsuleModel, label: int, pose: Sequence[float]) -> Picture | None:
    return None if not model.has_decoder else redraw(model, label, pose)


@torch.inference_mode()
def redraw(model: CapsuleModel, label: int, pose: Sequence[float]) -> Picture:
    """Decode the capsule of class `label` with the pose `pose`.

    Args:
        model: as `capsnet.load` returns it.
        label: index of the class.
        pose: elements of the pose.

    Raises:
        UserError: the model has no decoder or no such class, or the pose does not fit.
    """
    if not model.has_decoder:
        raise UserError("this network has no decoder: it cannot draw")
    layer_poses = torch.zeros(1, len(model.class_names), model.pose_dim)
    if not 0 <= label < layer_poses.shape[1]:
        raise UserError(f"the class must be 0 to {layer_poses.shape[1] - 1}, got {label}")
    values = torch.tensor(pose, dtype=torch.float32)
    if values.shape != layer_poses.shape[2:] or not bool(values.isfinite().all()):
        raise UserError(f"a pose of this network is {layer_poses.shape[2]} finite numbers, got {_brief(pose)}")
    layer_poses[0, label] = values
    reconstruction = model.reconstruct(Capsules(layer_poses, layer_poses.norm(dim=-1)), torch.tensor([label]))
    if not bool(reconstruction.isfinite().all()):
        raise UserError("the decoder's output is not finite for values this large; use smaller ones")
    return _picture(reconstruction[0])


def _brief(pose: Sequence[float]) -> str:
    bad = [value for value in pose if not abs(value) <= _LARGEST]
    return f"{bad[0]:g} among them" if bad else f"{len(pose)}"


def watch_children(model: CapsuleModel, images: Float[Tensor, "1 c h w"]) -> tuple[Capsules | None, CapsNetOutput]:
    """The inputs of the model's class layer, if it has one, and the model's output."""
    captured: list[Capsules] = []

    def capture(_: nn.Module, arguments: tuple[Capsules | RoutingOutput, ...]) -> None:
        captured.append(Capsules(arguments[0].poses, arguments[0].activations))

    try:
        hook = find_class_layer(model).register_forward_pre_hook(capture)
    except UserError:
        return None, model(images)
    try:
        output = model(images)
    finally:
        hook.remove()
    return captured[-1], output


def _find_maps(
    model: CapsuleModel, children: Capsules | None, output: CapsNetOutput
) -> tuple[CouplingMaps | None, str]:
    """The coupling of each iteration over the image, or the reason why there is none."""
    try:
        grid = find_grid(model)
    except UserError:
        return None, _why_no_maps(model)
    steps = couplings(model, children, output)
    if not steps:
        return None, "The routing of this network has no coupling, so there are no shares to show."
    maps: CouplingMaps = {"step": grid.step, "first": grid.first, "window": grid.window, "steps": []}
    for iteration, coupling in steps:
        maps["steps"].append({"iteration": iteration, "shares": _rounded(coupling, grid)})
    note = "" if len(steps) > 1 else "The routing of this network takes one step."
    return maps, note


def _why_no_maps(model: CapsuleModel) -> str:
    layer = model.class_layer
    if model.grid is not None and layer is not None:
        count = layer.num_children
        return f"Each of this network's {count} primary capsules sees the whole image, so there is no map of positions."
    return "This network's capsules are not laid out on a single grid over the image, so there is no coupling to map."


def couplings(model: CapsuleModel, children: Capsules | None, output: CapsNetOutput) -> list[tuple[int | None, Tensor]]:
    """The coupling of each iteration; for routings without iterations, the coupling of the output."""
    if children is not None:
        layer = find_class_layer(model)
        own = layer.routing.iterations
        if own is not None:
            votes, gathered = make_votes(layer, children), layer.gather(children)
            # if there are many, the first ones and the last
            counts = sorted({*range(1, min(own, _MOST_STEPS)), own})
            routed = [(count, route(layer.routing, votes, gathered, count).coupling) for count in counts]
            return [(count, coupling) for count, coupling in routed if coupling is not None]
    return [] if output.coupling is None else [(None, output.coupling)]


def _rounded(coupling: Float[Tensor, "1 i n"], grid: Grid) -> list[list[list[float]]]:
    shares: list[list[list[float]]] = coupling_shares(coupling, grid)[0].double().numpy().round(4).tolist()
    return shares


def _picture(image: Float[Tensor, "c h w"]) -> Picture:
    # show one view of a stereo pair
    view = image if len(image) in (1, 3) else image[:1]
    pixels = (view.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    height, width, channels = pixels.shape
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "pixels": base64.b64encode(pixels.numpy().tobytes()).decode(),
    }


def _about(model: CapsuleModel) -> str:
    text = f"{type(model).__name__}, {count_parameters(model):,} parameters"
    return f"{text}, trained on {public_name(model.data)}" if model.data else text
