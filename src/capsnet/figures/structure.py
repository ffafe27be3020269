"""The model as blocks from image to class capsules to decoder, with shapes taken from a forward pass."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from torch import Tensor, nn

from capsnet.figures.style import BLUE, GREEN, GREY, INK, ORANGE, SKY, axes_at, bare, new_figure, styled
from capsnet.figures.subject import Subject, add_figure
from capsnet.layers import Decoder, DenseCapsules, PrimaryCapsules
from capsnet.layers.conv_relu import ConvReLU
from capsnet.models import CapsuleModel
from capsnet.models.eval_mode import eval_mode
from capsnet.runs.weights import count_parameters

_WIDTH, _ROW = 8.0, 2.75


@dataclass(frozen=True)
class Block:
    """A part of a model.

    Args:
        name: of the module, readable.
        what: its operation, one or two lines.
        shape: of its output for one image: channels, height, width; capsules and their dimension; or numbers.
        parameters: trainable ones.
    """

    name: str
    what: str
    shape: tuple[int, ...]
    parameters: int

    @property
    def is_capsules(self) -> bool:
        """Whether its output is capsules."""
        return len(self.shape) == 2


@torch.no_grad()
def find_blocks(model: CapsuleModel) -> tuple[list[Block], list[Block]]:
    """Run a model on a blank image, in eval mode, and record each module's output shape.

    Returns:
        The blocks of the encoder, and those of the decoder (none without one).
    """
    with eval_mode(model):
        return _record_blocks(model)


def _record_blocks(model: CapsuleModel) -> tuple[list[Block], list[Block]]:
    shape, device = model.input_shape, model.device
    shapes: dict[str, tuple[int, ...]] = {}
    handles = [part.register_forward_hook(_note(shapes, name)) for name, part in _parts(model)]
    try:
        output = model(torch.zeros(1, *shape, device=device))
        encoder = [Block("image", "", shape, 0), *_blocks(model, shapes)]
        if not model.has_decoder:
            return encoder, []
        shapes.clear()
        model.reconstruct(output.capsules)
        drawn = _blocks(model, shapes)
    finally:
        for handle in handles:
            handle.remove()
    masked = Block("masked capsules", "all but one\nset to 0", tuple(output.capsules.poses.shape[1:]), 0)
    last = Block("reconstruction", drawn[-1].what.replace("ReLU", "sigmoid"), shape, drawn[-1].parameters)
    return encoder, [masked, *drawn[:-1], last]


def _parts(model: CapsuleModel) -> Iterator[tuple[str, nn.Module]]:
    """The model's submodules, with module lists and the decoder split into layers."""
    for name, part in model.named_children():
        if name == "decoder":
            layers = [
                layer for layer in part.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
            ]
            yield from ((f"decoder {k + 1}", layer) for k, layer in enumerate(layers))
        elif isinstance(part, nn.ModuleList):
            for number, layer in enumerate(part, start=1):
                # normalisation keeps the shape
                if not isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                    yield f"{name.replace('_', ' ')} {number}", layer
        elif not isinstance(part, nn.Identity | nn.Dropout):
            yield name.replace("_", " "), part


def _note(shapes: dict[str, tuple[int, ...]], name: str) -> Any:
    def hook(part: nn.Module, inputs: object, output: Any) -> None:
        tensor: Tensor = output if isinstance(output, Tensor) else output.poses
        shapes[name] = tuple(tensor.shape[1:])

    return hook


def _blocks(model: CapsuleModel, shapes: dict[str, tuple[int, ...]]) -> list[Block]:
    # the layers of other decoders have other activations
    plain = model.has_decoder and isinstance(model.decoder, Decoder)
    return [
        Block(
            name,
            _describe(part, has_relu=plain and name.startswith("decoder")),
            shapes[name],
            count_parameters(part),
        )
        for name, part in _parts(model)
        if name in shapes
    ]


def _describe(part: nn.Module, *, has_relu: bool) -> str:
    """What a part computes, with its activation where that is certain."""
    activation = "\nReLU" if has_relu or isinstance(part, ConvReLU) else ""
    if isinstance(part, PrimaryCapsules):
        return f"{_convolution(part.conv)}\n{part.num_types} types of capsule, squash"
    if isinstance(part, DenseCapsules):
        rounds = part.routing.iterations
        kind = type(part.routing).__name__.removesuffix("Routing").lower() + " routing"
        # poses may be matrices
        _, rows, _, columns = part.weight.shape
        # one iteration may be a part of several passes of the whole network (AttentionCapsNet)
        return f"{rows}×{columns} matrix for each vote\n{kind}" + (
            f", {rounds} iterations" if rounds and rounds > 1 else ""
        )
    if isinstance(part, nn.Conv2d):
        return f"{_convolution(part)}{activation}"
    if isinstance(part, nn.Linear):
        return f"fully connected{activation}"
    return type(part).__name__


def _convolution(conv: nn.Conv2d) -> str:
    return f"{conv.kernel_size[0]}×{conv.kernel_size[1]} convolution, stride {conv.stride[0]}"


@styled
def draw_structure(model: CapsuleModel, name: str = "model") -> Figure:
    """Draw a model's blocks with output shapes and numbers of parameters.

    Args:
        model: with `input_shape`; run once on a blank image.
        name: for the title.
    """
    encoder, decoder = find_blocks(model)
    rows = [row for row in (encoder, decoder) if row]
    total, drawing = count_parameters(model), sum(block.parameters for block in decoder)
    subtitle = f"{total:,} parameters"
    if decoder:
        subtitle += f": {total - drawing:,} in the encoder (top), {drawing:,} in the decoder (bottom)"
    figure = new_figure(_WIDTH, _ROW * len(rows) + 0.05, f"Network architecture ({name})", subtitle + ".")
    for index, row in enumerate(rows):
        axes = axes_at(figure, 0.1, (len(rows) - 1 - index) * _ROW + 0.05, _WIDTH - 0.2, _ROW)
        bare(axes)
        axes.set_xlim(0, _WIDTH - 0.2)
        axes.set_ylim(0, _ROW)
        _draw_row(axes, row)
    return figure


def _draw_row(axes: Axes, row: list[Block]) -> None:
    step, start = (_WIDTH - 0.2) / len(row), 0.0
    small = step < 1.75
    # keep neighbouring texts and capsules apart
    fit = min(1.0, step / 1.35)
    for index, block in enumerate(row):
        middle = (index + 0.5) * step
        half = _draw_block(axes, block, middle, 1.85, min(step, 1.9), fit)
        axes.text(middle, 0.98, block.name, weight="bold", ha="center", va="top", size=9 * fit)
        axes.text(middle, 0.79, _shape_text(block), ha="center", va="top", size=9 * fit, color=BLUE)
        what = block.what.replace(", ", ",\n") if small else block.what
        axes.text(middle, 0.60, what, ha="center", va="top", size=7.5 * fit, color=GREY, linespacing=1.25)
        if block.parameters:
            axes.text(
                middle,
                0.14,
                f"{block.parameters:,} parameters",
                ha="center",
                va="center",
                size=8.5 * fit,
                color=INK,
                gid="parameters",
            )
        if index:
            end = middle - half - 0.08
            axes.annotate("", (end, 1.85), (start, 1.85), arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 1.1})
        start = middle + half + 0.08


def _shape_text(block: Block) -> str:
    if block.is_capsules:
        count, dims = block.shape
        # with a pose of at most one number, the output is just each class's activation
        if dims < 2:
            return f"{count:,} numbers" if dims else f"{count:,} activations"
        return f"{count:,} capsules of {dims} D"
    return " × ".join(f"{side:,}" for side in block.shape)


def _draw_block(axes: Axes, block: Block, x: float, y: float, room: float, fit: float) -> float:
    """Draw a block's output centred at (x, y); returns half its width."""
    if block.is_capsules:
        return _draw_capsules(axes, block.shape, x, y, 0.085 * fit)
    if len(block.shape) == 3:
        return _draw_volume(axes, block.shape, x, y, room)
    high = 0.35 + 0.9 * min(1.0, (block.shape[0] / 1024) ** 0.5)
    axes.add_patch(Rectangle((x - 0.09, y - high / 2), 0.18, high, facecolor=GREEN, edgecolor="white"))
    return 0.09


def _draw_volume(axes: Axes, shape: tuple[int, ...], x: float, y: float, room: float) -> float:
    """Feature maps as a box in perspective: width for channels, face for the spatial size."""
    channels, height, width = shape
    high = 0.9 * height / max(height, width)
    deep = 0.42 * width / max(height, width)
    wide = 0.06 if channels <= 4 else min(0.25 + 0.03 * channels**0.5, room - deep - 0.5)
    left, bottom = x - (wide + deep) / 2, y - (high + deep * 0.7) / 2
    rise = deep * 0.7
    color = GREY if channels <= 4 else SKY
    front = [(left, bottom), (left + wide, bottom), (left + wide, bottom + high), (left, bottom + high)]
    above = [front[3], front[2], (left + wide + deep, bottom + high + rise), (left + deep, bottom + high + rise)]
    beside = [front[1], (left + wide + deep, bottom + rise), above[2], front[2]]
    for points, alpha in ((front, 0.9), (above, 0.55), (beside, 0.7)):
        axes.add_patch(Polygon(points, facecolor=color, alpha=alpha, edgecolor="white", linewidth=0.8))
    return (wide + deep) / 2


def _draw_capsules(axes: Axes, shape: tuple[int, ...], x: float, y: float, pitch: float) -> float:
    """Capsules as columns of cells, one for each dimension; at most 12 columns."""
    capsules, dims = shape
    shown, cells = min(capsules, 12), min(max(dims, 1), 16)
    high = 1.15 * cells / 16
    left, bottom = x - shown * pitch / 2, y - high / 2
    for column in range(shown):
        if capsules > shown and column == shown - 3:
            axes.text(left + (column + 0.5) * pitch, y, "…", ha="center", va="center", size=9, color=ORANGE)
            continue
        for cell in range(cells):
            place = (left + column * pitch, bottom + cell * high / cells)
            axes.add_patch(
                Rectangle(place, pitch * 0.8, high / cells * 0.82, facecolor=ORANGE, alpha=0.55 + 0.4 * (cell % 2))
            )
    return shown * pitch / 2


def _draw(subject: Subject) -> Figure:
    return draw_structure(subject.model, subject.run.config.model.name)


add_figure(
    "structure",
    _draw,
    caption="The network from image to class capsules, and its decoder if it has one. Shapes are for one image.",
    place=60,
    charts=True,
)
