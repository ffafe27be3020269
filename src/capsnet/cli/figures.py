"""`capsnet figures`."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from capsnet.cli.parse import parse
from capsnet.runs import Run


@dataclass(frozen=True)
class Figures:
    """Draw a run's figures into its folder: curves, reconstructions, dimensions, mistakes, coupling, structure.

    Examples:
      capsnet figures runs/quickstart
      capsnet figures runs/quickstart --overwrite
    """

    run: tyro.conf.Positional[Path]
    """The run's folder."""
    overwrite: bool = False
    """Draw those anew that are there."""


def main(args: list[str]) -> None:
    """Draw, and print the files."""
    options = parse(Figures, args)
    run = Run.open(options.run)
    from capsnet.figures import draw_figures

    for path in draw_figures(run, overwrite=options.overwrite):
        print(path)
