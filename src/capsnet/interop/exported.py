"""Metadata of an exported model. Works without PyTorch, with onnxruntime alone."""

import dataclasses
import json
from dataclasses import dataclass
from math import prod
from typing import Literal, cast

from capsnet.data.pixels import PixelRange, Preparation, check_range
from capsnet.errors import UserError
from capsnet.prediction import Doubt
from capsnet.runs.typed import convert, parse_json

KEY = "capsnet"
OTHER_KEYS = {"segmenter": "capsnet-segmenter", "sequence model": "capsnet-sequence-model"}
"""Where files of models that do not classify images hold their description, by kind."""
FORMAT_VERSION = 1
_MOST_PIXELS = 1 << 24
Pixels = Literal["uint8", "float"]


@dataclass(frozen=True)
class Exported:
    """The description of an exported model, stored in the file as JSON under the key `capsnet`.

    Args:
        format_version: version of this description.
        capsnet_version: version of the package that exported the model.
        model: the model's name in this package; of a model that was not created by a name, its class.
        class_names: a name for each class.
        image_shape: channels, height and width of the input `image`.
        pixels: `"uint8"` from 0 to 255, or `"float"` in [0, 1]; all further preprocessing is part of the graph.
        preparation: how an image file becomes an `image`: as MNIST was made (`"digit"`) or scaled into the frame.
        pixel_range: values of image files of more than 8 bits that become 0 and 255; None: decided from the files.
        pairs: whether an image shows two digits, as in MultiMNIST.
        doubt: limits for the output `signals`, beyond which a prediction is unsure; None: there is no such output.
        data: the data set that the model was trained on; of a folder or file, its name without the path.
        word: name of a class's score: `"length"`, `"share"` or `"activation"`.

    Raises:
        UserError: no classes, or an invalid image shape.
    """

    format_version: int
    capsnet_version: str
    model: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    pixels: Pixels
    preparation: Preparation
    pixel_range: PixelRange | None
    pairs: bool
    doubt: Doubt | None
    data: str
    word: str = "length"

    def __post_init__(self) -> None:
        if not self.class_names:
            raise UserError("class_names must be at least one, got none")
        if min(self.image_shape) < 1 or prod(self.image_shape) > _MOST_PIXELS:
            raise UserError(f"image_shape must be positive and below {_MOST_PIXELS:,} pixels, got {self.image_shape}")
        if self.pixel_range is not None:
            check_range(self.pixel_range)

    def to_json(self) -> str:
        """The description as one line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str, name: str) -> "Exported":
        """Read a description from an untrusted source.

        Args:
            text: JSON.
            name: the file's name, for messages.

        Raises:
            UserError: not JSON, from a newer version, or an entry that is missing or of another type.
        """
        values = parse_json(text, name)
        version = values.get("format_version") if isinstance(values, dict) else None
        if not isinstance(version, int):
            raise UserError(f"{name}: its entry {KEY!r} is not the description of a capsnet model")
        if version > FORMAT_VERSION:
            raise UserError(f"{name} is from a newer capsnet (format {version}, this one reads {FORMAT_VERSION})")
        try:
            return cast(Exported, convert(values, Exported, name))
        except UserError as fault:
            message = str(fault)
            raise UserError(message if message.startswith(name) else f"{name}: {message}") from None
