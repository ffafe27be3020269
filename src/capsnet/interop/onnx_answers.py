"""Prediction with an exported ONNX file. Requires onnxruntime, NumPy and Pillow, but not PyTorch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from capsnet.data.images import read_pixels
from capsnet.data.pixels import PixelRange, Preparation
from capsnet.errors import UserError
from capsnet.interop.exported import KEY, OTHER_KEYS, Exported
from capsnet.prediction import Failure, Prediction, make_prediction

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_BATCH = 64
_OUTPUTS = ("lengths", "poses", "reconstruction", "signals")


@dataclass(frozen=True)
class OnnxModel:
    """An exported model, ready to run.

    Args:
        session: session of onnxruntime.
        about: description of the model in the file's metadata.
    """

    session: "InferenceSession"
    about: Exported

    @classmethod
    def open(cls, path: Path) -> "OnnxModel":
        """Open a file that `capsnet export` wrote.

        Raises:
            UserError: onnxruntime is not installed, no such file, not an ONNX file, or one without a description.
        """
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise UserError("an ONNX file needs the package onnxruntime: pip install 'capsnet[onnx]'") from None
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        options = onnxruntime.SessionOptions()
        # its log messages repeat the exceptions raised
        options.log_severity_level = 4
        # higher optimisation levels do not pay off for a few images
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        # dequantise int8 weights once, not for each image
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            # text that is not UTF-8 is refused here
            properties = session.get_modelmeta().custom_metadata_map
        # its exceptions have no common base class
        except _faults() as fault:
            raise UserError(f"{path} is not a valid ONNX file ({_brief(fault)})") from None
        kind = next((kind for kind, key in OTHER_KEYS.items() if key in properties), None)
        if kind is not None:
            raise UserError(f"{path} holds a {kind}: predict with its run, or run the file with onnxruntime")
        if KEY not in properties:
            raise UserError(f"{path}: does not describe its model; write it with capsnet export")
        about = Exported.from_json(properties[KEY], str(path))
        _check(session, about, path)
        return cls(session, about)

    def answer_files(
        self,
        files: Iterable[Path | str],
        *,
        preparation: Preparation | None = None,
        pixel_range: PixelRange | None = None,
        poses: bool = False,
    ) -> Iterator[Prediction | Failure]:
        """Predict image files one by one, in constant memory.

        Args:
            files: image files.
            preparation: `"digit"` or `"fit"`; None: the model's own.
            pixel_range: values that become black and white, for files of more than 8 bits; None: the model's own.
            poses: include the poses of the class capsules.

        Yields:
            For each file, in order, its prediction, or the reason why it cannot be read.

        Raises:
            UserError: a model with neither 1 nor 3 channels.
        """
        about = self.about
        pixel_range = pixel_range or about.pixel_range
        if about.image_shape[0] not in (1, 3):
            raise UserError(
                f"this network takes {about.image_shape[0]} channels, a drawing or photo has 1 or 3; choose another"
            )
        source = iter(files)
        while batch := list(islice(source, _BATCH)):
            read = [_read(file, about, preparation, pixel_range) for file in batch]
            images = [image for image in read if not isinstance(image, Failure)]
            answers = iter(self._answer(images, poses=poses)) if images else iter(())
            for image in read:
                yield image if isinstance(image, Failure) else next(answers)

    def _answer(self, images: "Sequence[_Read]", *, poses: bool) -> list[Prediction]:
        about = self.about
        pixels = np.stack([image.pixels for image in images])
        given = pixels if about.pixels == "uint8" else pixels.astype(np.float32) / 255
        names = [output.name for output in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(names, {"image": given}), strict=True))
        answers = []
        for index, image in enumerate(images):
            reasons = None
            if about.doubt is not None:
                reasons = about.doubt.reasons(*_four(outputs["signals"][index].tolist()), image.pieces)
            answers.append(
                make_prediction(
                    about.class_names,
                    outputs["lengths"][index].tolist(),
                    pairs=about.pairs,
                    pieces=image.pieces,
                    reasons=reasons,
                    poses=outputs["poses"][index].tolist() if poses else None,
                    file=image.file,
                )
            )
        return answers


@dataclass(frozen=True)
class _Read:
    pixels: NDArray[np.uint8]
    pieces: int | None
    file: str


def _read(
    file: Path | str, about: Exported, preparation: Preparation | None, pixel_range: PixelRange | None
) -> _Read | Failure:
    try:
        chosen = preparation or about.preparation
        pixels, pieces = read_pixels(Path(file), about.image_shape, chosen, pixel_range=pixel_range)
    except UserError as fault:
        return Failure(str(file), str(fault))
    return _Read(pixels, pieces, str(file))


def _four(signals: Sequence[float]) -> tuple[float, float, float | None, float | None]:
    length, gap, *errors = signals
    error, patch_error = errors or (None, None)
    return length, gap, error, patch_error


def _check(session: "InferenceSession", about: Exported, path: Path) -> None:
    """Check that the graph matches its metadata."""
    inputs, outputs = session.get_inputs(), {output.name: output.shape for output in session.get_outputs()}
    kind = "tensor(uint8)" if about.pixels == "uint8" else "tensor(float)"
    expected = ("image", kind, list(about.image_shape))
    got = (inputs[0].name, inputs[0].type, list(inputs[0].shape[1:])) if len(inputs) == 1 else None
    wanted = {"lengths", "poses"} | ({"signals"} if about.doubt is not None else set())
    classes = outputs.get("lengths", [0])[-1]
    signals = outputs.get("signals", [0, 2])[-1]
    if got != expected or not wanted <= outputs.keys() <= set(_OUTPUTS):
        raise UserError(f"{path}: its inputs or outputs are not those of a capsnet model; write it with capsnet export")
    if classes != len(about.class_names) or signals not in (2, 4):
        raise UserError(f"{path} returns {classes} lengths for {len(about.class_names)} classes; export it again")


def _faults() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (RuntimeError, ValueError, OSError, *own)


def _brief(fault: Exception) -> str:
    return " ".join(str(fault).split())[:160]
