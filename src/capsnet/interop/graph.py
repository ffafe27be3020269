"""The exported computation: from the pixels of an image to lengths, poses, reconstruction and signals."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from capsnet._version import __version__
from capsnet.capsules import Capsules
from capsnet.errors import UserError
from capsnet.inference.doubt import read_signals
from capsnet.inference.words import length_word
from capsnet.interop.exported import FORMAT_VERSION, Exported, Pixels
from capsnet.interop.public_name import public_name
from capsnet.models import CapsuleModel

_BATCH = Dim("batch", max=1 << 16)


class AnswerGraph(nn.Module):
    """All outputs of a model for images.

    Args:
        model: a model in eval mode.
        pixels: type of its input pixels, see `Exported`.

    Shapes:
        image `b c h w`; lengths `b n`, poses `b n d`, reconstruction `b c y x` of the longest capsule (with a decoder),
        signals `b 2` or, with a decoder, `b 4` (of a model with measured limits): length of the longest capsule, its
        difference to the second, reconstruction error, and that of the worst window (`capsnet.prediction.Doubt`).
    """

    def __init__(self, model: CapsuleModel, pixels: Pixels) -> None:
        super().__init__()
        self.model, self.scale = model, 255.0 if pixels == "float" else 1.0

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs of `forward`, in order."""
        names = {
            "lengths": True,
            "poses": True,
            "reconstruction": self.model.has_decoder,
            "signals": self.model.doubt is not None,
        }
        return [name for name, given in names.items() if given]

    def forward(self, image: Real[Tensor, "b c h w"]) -> tuple[Tensor, ...]:
        """Compute the outputs for images."""
        model = self.model
        inputs = model.inputs.view(image if self.scale == 1 else image * self.scale)
        output = model(model.inputs.normalize(inputs))
        results = [output.lengths, output.capsules.poses]
        drawn = model.reconstruct(output.capsules) if model.has_decoder else None
        if drawn is not None:
            results.append(drawn)
        if model.doubt is not None:
            signals = read_signals(output, inputs / 255, drawn, None)
            columns = (signals.length, signals.gap, signals.error, signals.patch_error)
            results.append(torch.stack([column for column in columns if column is not None], dim=1))
        return tuple(results)


class DecoderGraph(nn.Module):
    """A model's decoder: from poses to a reconstruction.

    Shapes:
        poses `b n d`, labels `b`, the capsule to decode; result `b c y x`.
    """

    output_names = ("reconstruction",)

    def __init__(self, model: CapsuleModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, poses: Float[Tensor, "b n d"], labels: Int[Tensor, " b"]) -> tuple[Tensor]:
        """Decode the capsules of the classes `labels`."""
        return (self.model.reconstruct(Capsules(poses, poses.norm(dim=-1)), labels),)


def describe(model: CapsuleModel, pixels: Pixels) -> Exported:
    """The description of a model in its exported file.

    Raises:
        UserError: an invalid image shape.
    """
    return Exported(
        format_version=FORMAT_VERSION,
        capsnet_version=__version__,
        model=model.created_by.name if model.created_by else type(model).__name__,
        class_names=tuple(model.class_names),
        image_shape=model.inputs.image_shape,
        pixels=pixels,
        preparation=model.preparation,
        pixel_range=model.inputs.pixel_range,
        pairs=model.pairing is not None,
        doubt=model.doubt,
        data=public_name(model.data),
        word=length_word(model),
    )


def example_images(model: CapsuleModel, count: int, pixels: Pixels) -> Tensor:
    """Images of noise, the same in each call, in the form of the exported model's input."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (count, *model.inputs.image_shape), generator=generator, dtype=torch.uint8)
    return noise / 255 if pixels == "float" else noise


def example_poses(model: CapsuleModel, count: int) -> dict[str, Tensor]:
    """Random poses and the labels to decode, the same in each call, as the inputs of the exported decoder."""
    classes = len(model.class_names)
    poses = torch.randn(count, classes, model.pose_dim, generator=torch.Generator().manual_seed(0))
    return {"poses": poses, "labels": torch.arange(count) % classes}


def trace_answers(model: CapsuleModel, pixels: Pixels) -> ExportedProgram:
    """Trace the computation of all outputs, for any number of images.

    Args:
        model: a model in eval mode on the CPU.
        pixels: type of its input pixels, see `Exported`.

    Raises:
        UserError: the model's code cannot be traced; the message gives the reason.
    """
    return trace_shapes(AnswerGraph(model, pixels), {"image": example_images(model, 2, pixels)}, {"image": {0: _BATCH}})


def trace_decoder(model: CapsuleModel) -> ExportedProgram:
    """Trace the decoder: from poses and labels to images.

    Args:
        model: a model with a decoder, in eval mode on the CPU.

    Raises:
        UserError: as `trace_answers`.
    """
    inputs = example_poses(model, 2)
    return trace_shapes(DecoderGraph(model), inputs, {name: {0: _BATCH} for name in inputs})


def trace_once(graph: nn.Module, inputs: Mapping[str, Tensor]) -> ExportedProgram:
    """Trace a module for inputs of exactly these shapes.

    Raises:
        UserError: as `trace_answers`.
    """
    return trace_shapes(graph, inputs, None)


def trace_shapes(
    graph: nn.Module, inputs: Mapping[str, Tensor], shapes: Mapping[str, Mapping[int, Dim]] | None
) -> ExportedProgram:
    """Trace a module.

    Args:
        graph: in eval mode.
        inputs: examples by the names of its arguments.
        shapes: the free axes of each input; None: none are free.

    Raises:
        UserError: as `trace_answers`.
    """
    free = None if shapes is None else {name: dict(axes) for name, axes in shapes.items()}
    try:
        with torch.no_grad(), _plain():
            # strict mode: otherwise `len(images)` would fix the number of images
            return torch.export.export(graph.eval(), (), dict(inputs), dynamic_shapes=free, strict=free is not None)
    except UserError:
        raise
    except (RuntimeError, TypeError, ValueError, NotImplementedError, AssertionError) as fault:
        raise UserError(f"the model cannot be exported: {first_line(fault)}") from None


@contextlib.contextmanager
def _plain() -> Iterator[None]:
    """Disable the fused kernels, whose operators exist only in this package."""
    try:
        from capsnet.kernels import use
    except ModuleNotFoundError:
        yield
        return
    with use("plain"):
        yield


def first_line(fault: BaseException) -> str:
    """The first line of an error's message, or its class if it has none."""
    return next((line.strip() for line in str(fault).splitlines() if line.strip()), type(fault).__name__)


def check_outputs(expected: Sequence[Tensor], given: Sequence[Tensor], limit: float) -> float:
    """The largest difference between the outputs of the model and of the exported program.

    Args:
        expected: the model's outputs.
        given: the program's outputs.
        limit: largest allowed difference, relative to the largest output if that is above 1.

    Raises:
        UserError: a larger difference.
    """
    largest = 0.0
    for one, other in zip(expected, given, strict=True):
        if one.shape != other.shape:
            raise UserError(f"the exported model gives {tuple(other.shape)} where the model gives {tuple(one.shape)}")
        if one.numel():
            scale = max(1.0, float(one.abs().max()))
            difference = float((one - other).abs().max()) / scale
            # not "above": a difference may be NaN
            if not difference <= limit:
                raise UserError(
                    f"the exported model differs from the model by {difference:.1e}, the limit is {limit:.0e}"
                )
            largest = max(largest, difference)
    return largest
