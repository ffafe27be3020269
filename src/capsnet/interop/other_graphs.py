"""The exported computation of segmentation models and models of sequences, and the description of their files."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from capsnet._version import __version__
from capsnet.errors import UserError
from capsnet.interop.exported import Pixels
from capsnet.interop.graph import trace_shapes
from capsnet.models import SegmentationModel, SequenceModel, load_segmenter, load_sequence_model
from capsnet.models.named import StoredKind, stored_kind
from capsnet.runs.folder import find_weights

FORMAT_VERSION = 1
_MOST = 1 << 16
# steps of the examples beyond the shortest sequence
_MORE_STEPS = 12


class MaskGraph(nn.Module):
    """The outputs of a segmentation model for images of its size.

    Args:
        model: in eval mode.
        pixels: the type of its input: uint8 from 0 to 255, or float in [0, 1].

    Shapes:
        image `b c *space`; lengths `b n *space`, and poses `b n d *space` of a model with capsules.
    """

    kind: StoredKind = "segmenter"

    def __init__(self, model: SegmentationModel, pixels: Pixels = "uint8") -> None:
        super().__init__()
        self.model, self.pixels = model, pixels
        self.input_names = ("image",)
        with torch.no_grad():
            poses = model(torch.zeros(1, *model.image_shape)).poses
        self.output_names = ("lengths",) if poses is None else ("lengths", "poses")

    def forward(self, image: Real[Tensor, "b c *space"]) -> tuple[Tensor, ...]:
        """Compute the outputs for images."""
        output = self.model(image.float() / 255 if self.pixels == "uint8" else image)
        return (output.lengths,) if output.poses is None else (output.lengths, output.poses)

    def examples(self, count: int) -> tuple[Tensor, ...]:
        """Images of noise, the same in each call."""
        generator = torch.Generator().manual_seed(0)
        noise = torch.randint(0, 256, (count, *self.model.image_shape), generator=generator, dtype=torch.uint8)
        return (noise if self.pixels == "uint8" else noise / 255,)

    def trace(self) -> ExportedProgram:
        """Trace the computation for any number of images of the model's size."""
        return trace_shapes(self, {"image": self.examples(2)[0]}, {"image": {0: Dim("batch", max=_MOST)}})

    def describe(self) -> str:
        """The description of the file, as JSON."""
        shape = {"image_shape": self.model.image_shape, "pixels": self.pixels}
        return _describe(self.model, self.output_names, shape)


class SequenceGraph(nn.Module):
    """The outputs of a model of sequences for padded sequences with their mask.

    Args:
        model: in eval mode.

    Shapes:
        sequences `b c t`, padded to at least `steps` steps; mask `b t`, True for the steps of a sequence, False for the
        padding after them; lengths `b n`, poses `b n d`. Both are NaN for a sequence that has padding before or between
        its steps, or fewer steps than `shortest`.
    """

    kind: StoredKind = "sequence model"
    input_names = ("sequences", "mask")
    output_names = ("lengths", "poses")

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = model
        # torch.export takes one window for a fixed number
        self.steps = 2 if model.windows is None else model.windows.size + model.windows.stride
        self.shortest = 1 if model.windows is None else model.windows.size

    def forward(self, sequences: Float[Tensor, "b c t"], mask: Bool[Tensor, "b t"]) -> tuple[Tensor, ...]:
        """Compute the outputs for sequences."""
        steps = mask.long()
        output = self.model(sequences, steps.sum(dim=1))
        has_gap = (steps[:, 1:] > steps[:, :-1]).any(dim=1)
        unfit = (has_gap | (steps.sum(dim=1) < self.shortest))[:, None]
        lengths, poses = output.lengths, output.capsules.poses
        return lengths.masked_fill(unfit, torch.nan), poses.masked_fill(unfit[..., None], torch.nan)

    def examples(self, count: int) -> tuple[Tensor, ...]:
        """Sequences of noise of different lengths, the same in each call."""
        steps = self.steps if count == 1 else self.steps + _MORE_STEPS + count
        generator = torch.Generator().manual_seed(0)
        sequences = torch.randn(count, self.model.in_channels, steps, generator=generator)
        lengths = torch.linspace(steps, self.shortest, count).round().long()
        return sequences, torch.arange(steps) < lengths[:, None]

    def trace(self) -> ExportedProgram:
        """Trace the computation for any number of sequences of any number of steps."""
        batch, steps = Dim("batch", max=_MOST), Dim("steps", min=self.steps, max=_MOST)
        shapes = {"sequences": {0: batch, 2: steps}, "mask": {0: batch, 1: steps}}
        return trace_shapes(self, dict(zip(self.input_names, self.examples(3), strict=True)), shapes)

    def describe(self) -> str:
        """The description of the file, as JSON."""
        log_mel = None if self.model.preparation is None else asdict(self.model.preparation)
        shape = {
            "in_channels": self.model.in_channels,
            "steps": self.steps,
            "shortest": self.shortest,
            "log_mel": log_mel,
        }
        return _describe(self.model, self.output_names, shape)


OtherGraph = MaskGraph | SequenceGraph


def open_other(source: Path | str, pixels: Pixels | None) -> OtherGraph | None:
    """The graph of a segmentation model or of a model of sequences; None: a source of another kind.

    Args:
        source: a run folder or a file of weights.
        pixels: the type of a segmentation model's input; None: uint8.

    Raises:
        UserError: pixels for sequences, or weights that cannot be loaded.
    """
    weights = find_weights(source)
    kind = stored_kind(weights)
    if kind == "segmenter":
        return MaskGraph(load_segmenter(weights), pixels or "uint8")
    if kind is None:
        return None
    if pixels is not None:
        raise UserError(f"pixels must be left out: {source} takes sequences of floats, no images")
    return SequenceGraph(load_sequence_model(weights))


def _describe(model: SegmentationModel | SequenceModel, outputs: tuple[str, ...], shape: Mapping[str, object]) -> str:
    values = {
        "format_version": FORMAT_VERSION,
        "capsnet_version": __version__,
        "model": model.created_by.name if model.created_by else type(model).__name__,
        "class_names": model.class_names,
        "outputs": outputs,
    }
    return json.dumps({**values, **shape})
