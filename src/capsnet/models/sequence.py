"""The base class of models that classify sequences, and these models by name."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.data.spectrogram import LogMel
from capsnet.errors import UserError
from capsnet.functional import check_sequences
from capsnet.functional.labels import check_tensor
from capsnet.layers import SequenceDecoder
from capsnet.models.arguments import check_arguments
from capsnet.models.named import SEQUENCE_KEY, NamedModel, NamedPreset, create_named, load_named, save_named
from capsnet.registry import Registry


@dataclass(frozen=True)
class TimeWindows:
    """The windows of primary capsules over a sequence; capsules are in the order window, type.

    Args:
        size: steps of a window.
        stride: steps between the starts of two.
        num_types: capsules of each.
    """

    size: int
    stride: int
    num_types: int

    def count(self, steps: int) -> int:
        """The number of windows that lie in a sequence of so many steps."""
        return max(0, (steps - self.size) // self.stride + 1)

    def middles(self, number: int) -> Float[Tensor, " w"]:
        """The middle of each of the first windows, in steps from the start of the sequence."""
        return torch.arange(number) * self.stride + self.size / 2

    def coupling(self, coupling: Float[Tensor, "b i n"]) -> Float[Tensor, "b w n"]:
        """Coupling of each window, the mean over its capsules."""
        samples, children, classes = coupling.shape
        return coupling.reshape(samples, children // self.num_types, self.num_types, classes).mean(dim=2)


class SequenceModel(NamedModel, ABC):
    """Base class of models that classify sequences: `model(sequences, lengths)` returns a `CapsNetOutput`.

    They are no `CapsuleModel`s, whose input is an image of one size, so that commands for images refuse them. What
    stands in the padding of a sequence has no influence on the output.

    Args:
        in_channels: numbers in a step of a sequence.
        num_classes: number of classes.

    Attributes:
        loss: name of the training loss in `capsnet.losses.LOSSES`.
        class_names: a name for each class; class indices until they are set.
        preparation: how recordings became the sequences from which it learned; None: they were no recordings.
        decoder: reconstructs sequences from class capsules, or None.
        windows: of its primary capsules; None: it has none.
        created_by: the call of `create_sequence_model`; None if the model was created directly.

    Raises:
        UserError: sizes out of range.
    """

    loss: str = "margin"
    decoder: SequenceDecoder | None
    windows: TimeWindows | None = None

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        check_arguments(in_channels=in_channels, num_classes=num_classes)
        self.in_channels, self.num_classes = in_channels, num_classes
        self.class_names = tuple(str(k) for k in range(num_classes))
        self.decoder = None
        self.preparation: LogMel | None = None

    if TYPE_CHECKING:
        # nn.Module.__call__ is untyped
        def __call__(
            self, sequences: Float[Tensor, "b c t"], lengths: Int[Tensor, " b"] | None = None
        ) -> CapsNetOutput: ...

    @abstractmethod
    def forward(self, sequences: Float[Tensor, "b c t"], lengths: Int[Tensor, " b"] | None = None) -> CapsNetOutput:
        """Classify sequences.

        Args:
            sequences: padded at the end.
            lengths: steps of each sequence; None: all are as long as the tensor.
        """

    def check_input(self, sequences: Float[Tensor, "b c t"], lengths: Int[Tensor, " b"] | None) -> None:
        """Check the shape and dtype of sequences.

        Raises:
            UserError: they do not fit the model.
        """
        check_sequences(sequences, self.in_channels, lengths)
        if lengths is not None:
            check_tensor(lengths, "lengths")

    def reconstruct(
        self, capsules: Capsules, lengths: Int[Tensor, " b"], labels: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b c t"]:
        """Reconstruct sequences from class capsules.

        Args:
            capsules: class capsules, as in the model's output.
            lengths: steps of each sequence.
            labels: the capsule to decode of each sample; None: the longest.

        Raises:
            UserError: the model was created without a decoder, or invalid labels or lengths.
        """
        if self.decoder is None:
            raise UserError("this model has no decoder; create it with decoder=True")
        chosen = capsules.activations.argmax(dim=1) if labels is None else labels
        sequences: Tensor = self.decoder(capsules.poses, chosen, lengths)
        return sequences

    def save(self, file: str | Path) -> None:
        """Write weights, name, options, class names and preparation to a safetensors file, for `load_sequence_model`.

        Raises:
            UserError: the model was not made by `create_sequence_model`.
        """
        about: dict[str, object] = {"class_names": self.class_names}
        if self.preparation is not None:
            about["log_mel"] = asdict(self.preparation)
        save_named(self, file, SEQUENCE_KEY, "create_sequence_model", about)


SEQUENCE_MODELS: Registry[NamedPreset[SequenceModel]] = Registry("sequence model", "capsnet.sequence_models")
"""Models of sequences by name."""


def create_sequence_model(name: str, **overrides: object) -> SequenceModel:
    """Create a model of sequences with fresh weights.

    Args:
        name: one of `SEQUENCE_MODELS`.
        overrides: arguments of the model's class, over those of the preset.

    Raises:
        UserError: an unknown name or argument, or sizes that do not fit together.

    Example:
        >>> model = create_sequence_model("sequence-capsnet", in_channels=40, num_classes=10)
    """
    return create_named(SEQUENCE_MODELS, name, overrides)


def load_sequence_model(file: str | Path) -> SequenceModel:
    """Load a model that `SequenceModel.save` wrote, in eval mode. Nothing in the file is executed.

    Raises:
        UserError: no such file, or a file of another kind.
    """
    model, about = load_named(SEQUENCE_MODELS, file, SEQUENCE_KEY)
    names, log_mel = about.get("class_names"), about.get("log_mel")
    if not isinstance(names, list) or len(names) != model.num_classes:
        raise UserError(f"{file} must name {model.num_classes} classes, got {names!r}")
    model.class_names = tuple(map(str, names))
    if isinstance(log_mel, dict):
        rate, num_mels = log_mel.get("rate"), log_mel.get("num_mels")
        if not isinstance(rate, int) or not isinstance(num_mels, int):
            raise UserError(f"{file} must give rate and num_mels of its spectrograms as whole numbers, got {log_mel}")
        model.preparation = LogMel(rate, num_mels)
    return model
