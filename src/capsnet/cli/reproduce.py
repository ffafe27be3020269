"""`capsnet reproduce`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from capsnet.cli.console import print_json, print_markdown
from capsnet.cli.parse import key_and_value, parse
from capsnet.runs.formats import off_for_zero
from capsnet.runs.sections import Execution
from capsnet.studies import STUDIES, reproduce
from capsnet.studies.markdown import to_markdown
from capsnet.studies.table import Table


@dataclass(frozen=True)
class Reproduce:
    """Reproduce a paper's table: train all runs, then write table.md, table.json and figure.png.

    Repeat the command to resume; it skips finished runs.

    Examples:
      capsnet reproduce sabour2017-table1
      capsnet reproduce routing-iterations --budget full --seeds 5 --jobs 4 --out studies/iterations
    """

    study: tyro.conf.Positional[str]
    """The study (capsnet list studies)."""
    seeds: int | None = None
    """Runs per row; default: set by the budget."""
    budget: Literal["quick", "full"] = "quick"
    """quick: a reduced schedule for two CPU cores; full: the source's schedule, or without a source a longer one, or
    the same one with more seeds."""
    out: Path | None = None
    """The study's folder; default: studies/STUDY-BUDGET."""
    jobs: int = 1
    """Runs in parallel: one per GPU, or with the CPU cores divided among them."""
    ray: str | None = None
    """Run on a Ray cluster (extra: ray): its address; or auto: the running one, without one on this machine."""
    data_dir: Path | None = None
    """Folder of named data sets."""
    execution: Execution = "auto"
    """How a step is run: eager (operation by operation), compile (torch.compile, on a GPU captured as a CUDA graph) or
    cuda-graph (one CUDA graph, without torch.compile); auto: cuda-graph on a GPU, else eager."""
    small: bool = False
    """Delete the weights of finished runs; the table needs only their metrics."""
    change: tuple[str, ...] = ()
    """Change options of all runs, KEY=VALUE, for a trial: --change limit=640 batch_size=16. The table notes it."""
    json: bool = False
    """Print table.json on standard output, and everything else on standard error."""


def _read_changes(words: Sequence[str]) -> dict[str, object]:
    """Parse changes KEY=VALUE; as for flags, a value may be None."""
    pairs = [key_and_value("--change", word) for word in words]
    return off_for_zero({key: None if value == "None" else value for key, value in pairs})


def draw_table(table: Table, folder: Path, kind: Literal["points", "curves"]) -> None:
    """Draw `figure.png` of a table, unless it is newer than `table.json`."""
    figure = folder / "figure.png"
    newest = (folder / "table.json").stat().st_mtime
    if not figure.is_file() or figure.stat().st_mtime < newest:
        from capsnet.figures.study import draw_study
        from capsnet.figures.style import to_png
        from capsnet.runs.files import write_bytes

        write_bytes(figure, to_png(draw_study(table, folder, kind)))


def main(args: list[str]) -> None:
    """Reproduce, draw, and print the table."""
    options = parse(Reproduce, args)
    # before any work: refuse unknown names
    study = STUDIES.get(options.study)
    folder = options.out or Path("studies") / f"{options.study}-{options.budget}"
    table = reproduce(
        options.study,
        budget=options.budget,
        seeds=options.seeds,
        out=folder,
        jobs=options.jobs,
        data_dir=options.data_dir,
        execution=options.execution,
        small=options.small,
        changes=_read_changes(options.change),
        ray=options.ray,
    )
    draw_table(table, folder, study.figure)
    if options.json:
        print_json({**table})
    else:
        print_markdown(to_markdown(table))
        print(f"written: {folder / 'table.md'}, table.json, figure.png")
