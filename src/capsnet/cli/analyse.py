"""`capsnet analyse`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from capsnet.cli.console import print_json
from capsnet.cli.parse import parse
from capsnet.runs import Run


@dataclass(frozen=True)
class Analyse:
    """Analyse a network that classifies images: routing, capsules, robustness, attacks, mistakes, samples.

    Each analysis writes analysis/NAME.json and figures/NAME.png into the run's folder, for the report. All of them
    take minutes: adversarial and detection attack each image many times.

    Examples:
      capsnet analyse runs/quickstart
      capsnet analyse runs/quickstart --only routing robustness --limit 200 --json
    """

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
    """The run's folder."""
    only: tuple[str, ...] = ()
    """Analyses to make; none: all. adversarial capsules detection errors iterations robustness routing samples."""
    limit: int = 0
    """Images per analysis (0: as many as it needs, 100 to 10,000)."""
    seed: int = 0
    """Random seed: the choice of images and all sampling."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device; auto: the GPU if there is one."""
    overwrite: bool = False
    """Repeat analyses that already exist."""
    json: bool = False
    """Print one JSON object with all results."""


def main(args: list[str]) -> None:
    """Run the analyses, and print a summary of each."""
    options = parse(Analyse, args)
    run = Run.open(options.run)
    from capsnet.analysis import ANALYSES
    from capsnet.figures.analyses import write_analyses

    done = write_analyses(
        run,
        options.only,
        limit=options.limit,
        seed=options.seed,
        device=options.device,
        overwrite=options.overwrite,
    )
    if options.json:
        print_json({"run": str(run.folder), "analyses": done.records, "left_out": done.left_out})
        return
    for name, record in done.records.items():
        print(f"{name} ({record['n']:,} images)\n  {ANALYSES.get(name).say(record['results'])}")
    for path in done.files:
        print(path)
