"""`capsnet report`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from capsnet.cli.parse import parse
from capsnet.runs import Run


@dataclass(frozen=True)
class Report:
    """Draw a run's figures and write report.html: one self-contained file.

    Analyses in the run's folder are used; missing ones are made from few images (capsnet analyse uses many). Runs of
    models for segmentation and for sequences have no analyses: their report shows masks, or couplings over time.

    Examples:
      capsnet report runs/quickstart
      capsnet report runs/quickstart --overwrite
    """

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
    """The run's folder."""
    overwrite: bool = False
    """Replace existing figures and the report."""


def main(args: list[str]) -> None:
    """Draw and write, and print the file."""
    options = parse(Report, args)
    run = Run.open(options.run)
    from capsnet.figures.report import write_report

    print(write_report(run, overwrite=options.overwrite))
