"""`capsnet export`."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

import tyro

from capsnet.cli.parse import parse

FORMATS = {
    "keras": "capsnet.interop.keras_weights:export",
}
"""The function that writes each format, `export(run_or_weights, out, **options)`; it may return a sentence."""


@dataclass(frozen=True)
class Export:
    """Write a trained network for other software.

    keras: an .h5 file that the script of CapsNet-Keras or Efficient-CapsNet loads.

    Examples:
      capsnet export runs/keras trained_model.h5 --format keras
      capsnet export capsnet-mnist trained_model.h5 --format keras
    """

    run: tyro.conf.Positional[Path]
    """Run folder, weights file or a name from capsnet list pretrained."""
    out: tyro.conf.Positional[Path]
    """The new file."""
    format: Literal["keras"]
    """What to write."""


def main(args: list[str]) -> None:
    """Export, and print the file."""
    options = parse(Export, args)
    module, _, name = FORMATS[options.format].partition(":")
    write: Callable[..., str | None] = getattr(import_module(module), name)
    sentence = write(options.run, options.out)
    print(options.out)
    if sentence:
        print(sentence)
