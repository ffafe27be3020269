"""Export to a PyTorch program that runs without this package (`torch.export`)."""

import io
from pathlib import Path

import torch

from capsnet.errors import UserError
from capsnet.interop.exported import KEY, Pixels
from capsnet.interop.graph import (
    AnswerGraph,
    check_outputs,
    describe,
    example_images,
    trace_answers,
)
from capsnet.models import CapsuleModel
from capsnet.runs import Run
from capsnet.runs.files import whole_output, write_bytes
from capsnet.runs.folder import opened_for_export

LIMIT = 1e-5
"""Largest difference of outputs from the model's, relative to the largest output."""


def export(source: CapsuleModel | Run | Path | str, out: Path | str, *, pixels: Pixels = "uint8") -> list[str]:
    """Write a trained model as a `.pt2` file, which `torch.export.load(file).module()` runs.

    The input is `image`; the result is a tuple of the outputs of the ONNX file, see `capsnet.interop.onnx.export`. The
    file also holds `capsnet.json`, the description of the model (`Exported`). The written file is loaded, run and
    compared with the model.

    Args:
        source: a model, a run, or what `capsnet.load` accepts.
        out: a new file whose name ends in `.pt2`, or a new folder for `model.pt2`.
        pixels: the input is uint8 from 0 to 255, or float in [0, 1].

    Returns:
        Lines that describe what was written.

    Raises:
        UserError: `out` exists, or the model cannot be loaded or exported.
    """
    with opened_for_export(source) as (model, _):
        return _export(model, Path(out), pixels)


def _export(model: CapsuleModel, out: Path, pixels: Pixels) -> list[str]:
    if out.exists():
        raise UserError(f"{out} exists; give another name")
    if out.suffix not in (".pt2", ""):
        raise UserError(f"{out}: an exported program must end in .pt2, a folder must have no ending")
    path = out if out.suffix else out / "model.pt2"
    program = trace_answers(model, pixels)
    # in memory first: torch would write the file's name into it
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={f"{KEY}.json": describe(model, pixels).to_json()})
    with whole_output(out) as beside:
        written = beside if out.suffix else beside / path.name
        written.parent.mkdir(exist_ok=True)
        write_bytes(written, content.getvalue())
        difference = _compare(model, written, pixels)
    names = ", ".join(AnswerGraph(model, pixels).output_names)
    return [
        f"{path}: {path.stat().st_size / 1e6:.1f} MB, gives {names}",
        f"largest difference to the model: {difference:.1e}",
    ]


def _compare(model: CapsuleModel, path: Path, pixels: Pixels) -> float:
    loaded = torch.export.load(path).module()
    difference = 0.0
    for count in (1, 3):
        images = example_images(model, count, pixels)
        with torch.inference_mode():
            difference = max(difference, check_outputs(AnswerGraph(model, pixels)(images), loaded(image=images), LIMIT))
    return difference
