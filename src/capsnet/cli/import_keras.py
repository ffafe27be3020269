"""`capsnet import-keras`."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from capsnet.cli.console import print_json, wrapped
from capsnet.cli.parse import parse


@dataclass(frozen=True)
class ImportKeras:
    """Convert Keras weights of CapsNet-Keras, CapsNet_Project or Efficient-CapsNet into a run folder.

    Reads .h5 files of weights or whole models, .weights.h5 and .keras. No code in the file is run.

    Examples:
      capsnet import-keras result/trained_model.h5 runs/keras
      capsnet import-keras CPnum2.h5 runs/project --iterations 2
      capsnet import-keras efficient_capsnet_MNIST.h5 runs/efficient
    """

    weights: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="WEIGHTS")]]
    """The Keras file."""
    out: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="OUT")]]
    """The run's new folder."""
    iterations: int | None = None
    """Routing iterations, -r in CapsNet-Keras; default: the number in the file, else 3."""
    data: str | None = None
    """Data set or folder that the network was trained on; default: mnist, for 28x28 pixels and ten classes."""
    data_dir: Path | None = None
    """Folder of named data sets."""
    image_size: int | None = None
    """Side of the images in pixels, for a network without a decoder."""
    json: bool = False
    """Print one JSON object."""


def main(args: list[str]) -> None:
    """Import the weights, and print the model, notes and next commands."""
    options = parse(ImportKeras, args)
    from capsnet.interop.keras_weights import import_weights

    run = import_weights(
        options.weights,
        options.out,
        iterations=options.iterations,
        data=options.data,
        data_dir=options.data_dir,
        image_size=options.image_size,
    )
    imported, config = run.imported(), run.config
    assert imported is not None
    if options.json:
        print_json(
            {"run": str(run.folder), "source": imported.source, "model": config.model.name, "notes": imported.notes}
        )
        return
    channels, height, width = run.load_model().input_shape
    routing, iterations = config.model.routing, config.model.iterations
    words = f"{routing} routing, {iterations} iterations" if iterations else f"{routing} routing"
    images = f"{height}x{width}x{channels} images of {config.data.name}"
    print(wrapped(f"{imported.source}: model {config.model.name}, {images}, {words}"))
    for note in imported.notes:
        print(wrapped(note, "  ", "  "))
    print(f"run: {run.folder}\n\nnext:")
    for verb, rest in (("evaluate", ""), ("figures", ""), ("predict", " IMAGE")):
        print(f"  capsnet {verb} {shlex.quote(str(run.folder))}{rest}")
