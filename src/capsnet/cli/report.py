"""`capsnet report`."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from capsnet.cli.parse import parse
from capsnet.runs import Run


@dataclass(frozen=True)
class Report:
    """Draw a run's figures and write report.html: one file that holds everything, to read, print or send.

    Analyses are taken from the run's folder; those that are not there are made of few images (capsnet analyse uses
    many).

    Examples:
      capsnet report runs/quickstart
      capsnet report runs/quickstart --overwrite
    """

    run: tyro.conf.Positional[Path]
    """The run's folder."""
    overwrite: bool = False
    """Replace the figures and the report that are there."""


def main(args: list[str]) -> None:
    """Draw and write, and print the file."""
    options = parse(Report, args)
    run = Run.open(options.run)
    from capsnet.figures.report import write_report

    print(write_report(run, overwrite=options.overwrite))
