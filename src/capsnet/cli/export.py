"""`capsnet export`."""

import inspect
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import tyro

from capsnet.cli.parse import parse
from capsnet.errors import UserError
from capsnet.models.named import stored_kind
from capsnet.runs.folder import find_weights

FORMATS = {
    "onnx": "capsnet.interop.onnx:export",
    "torch": "capsnet.interop.torch_program:export",
    "keras": "capsnet.interop.keras_weights:export",
    "web": "capsnet.demo.static:export",
}

OTHER_FORMATS = {
    "onnx": "capsnet.interop.other_export:export_onnx",
    "torch": "capsnet.interop.other_export:export_program",
}
"""Formats of models for segmentation and for sequences."""


@dataclass(frozen=True)
class Export:
    """Export a trained network for use without capsnet.

    onnx: OUT.onnx, or a folder OUT with the model and its decoder. capsnet predict OUT.onnx needs no PyTorch.
    torch: OUT.pt2, a program for torch.export.load.
    keras: an .h5 file for the scripts of CapsNet-Keras or Efficient-CapsNet.
    web: a folder OUT with the page of capsnet demo; OUT/index.html runs in a browser without a server.

    Models for segmentation and for sequences: onnx and torch. Images have the size of the model; sequences may have any
    number of steps, and a second input marks their padding.

    ONNX files and PyTorch programs are run once written, and their outputs are compared with the network's.

    Examples:
      capsnet export efficient-capsnet-mnist digits.onnx
      capsnet export runs/quickstart quickstart.pt2 --format torch
      capsnet export efficient-capsnet-mnist page --format web
      capsnet export runs/keras trained_model.h5 --format keras
      capsnet export runs/scans scans.onnx --pixels float
    """

    model: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="MODEL")]]
    """A run folder, a weights file, or a name from capsnet list pretrained."""
    out: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="OUT")]]
    """A new file or folder."""
    format: Literal["onnx", "torch", "keras", "web"] = "onnx"
    """Format of the export."""
    pixels: Literal["uint8", "float"] | None = None
    """Type of the input: uint8 from 0 to 255 (default), or float in [0, 1]."""
    int8: bool = False
    """Quantise the larger weights to 8 bits: a quarter of the size, slightly less accurate."""


def main(args: list[str]) -> None:
    """Export, and print the written files."""
    options = parse(Export, args)
    values = {"pixels": options.pixels, "int8": options.int8 or None}
    kind = stored_kind(find_weights(options.model))
    if kind is not None and options.format not in OTHER_FORMATS:
        formats = " or ".join(OTHER_FORMATS)
        raise UserError(f"--format must be {formats} for {options.model}, a {kind}, got {options.format}")
    module, _, name = (FORMATS if kind is None else OTHER_FORMATS)[options.format].partition(":")
    export = getattr(import_module(module), name)
    parameters = inspect.signature(export).parameters
    for option, value in values.items():
        if value is not None and option not in parameters:
            raise UserError(f"--{option} is not an option of --format {options.format}; leave it out")
    print(*export(options.model, options.out, **{k: v for k, v in values.items() if v is not None}), sep="\n")
