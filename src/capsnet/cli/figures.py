"""`capsnet figures`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from capsnet.cli.parse import parse
from capsnet.runs import Run


@dataclass(frozen=True)
class Figures:
    """Draw all figures of a run, or the named ones, into its folder.

    Existing figures are kept. Names: curves reconstructions manipulate samples confusion errors coupling evidence
    routing iterations capsules structure robustness adversarial detection data; for data sets of pairs also pairs.
    For segmentation models: curves masks worst. For models of sequences: curves couplings confusion.

    Examples:
      capsnet figures runs/quickstart
      capsnet figures runs/quickstart curves manipulate --digit 5
      capsnet figures runs/photos manipulate --class cat --overwrite
    """

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
    """The run's folder."""
    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Figures by name; none: all."""
    digit: int | None = None
    """With manipulate: draw only the capsule of this digit."""
    classes: Annotated[tuple[str, ...], tyro.conf.arg(name="class")] = ()
    """With manipulate: draw only the capsules of these classes."""
    overwrite: bool = False
    """Redraw figures that already exist."""


def main(args: list[str]) -> None:
    """Draw, and print the files; report kept figures on standard error."""
    options = parse(Figures, args)
    run = Run.open(options.run)
    from capsnet.figures.draw import draw_missing

    classes = options.classes if options.digit is None else (*options.classes, str(options.digit))
    drawn = draw_missing(run, options.names, classes=classes, overwrite=options.overwrite)
    for path in drawn.written:
        print(path)
    if drawn.kept:
        kept = ", ".join(path.stem for path in drawn.kept)
        print(f"capsnet: kept: {kept} (--overwrite redraws them)", file=sys.stderr)
    if drawn.outdated:
        old = ", ".join(path.stem for path in drawn.outdated)
        print(f"capsnet: older than the run's weights or results: {old}", file=sys.stderr)
