"""All figures of a run, into its folder."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from capsnet.data import Dataset
from capsnet.errors import UserError
from capsnet.figures.style import to_png
from capsnet.figures.subject import FIGURES, Drawing, Subject
from capsnet.runs.files import write_bytes
from capsnet.runs.folder import Run


def draw_figures(run: Run, *, overwrite: bool = False, data: Dataset | None = None) -> list[Path]:
    """Draw every figure that the run's state allows into `figures/NAME.png`.

    What cannot be drawn, for want of data for instance, is named on standard error.

    Args:
        run: finished or not.
        overwrite: draw those anew that are there.
        data: the run's data set, if it is at hand.

    Returns:
        The files written.

    Raises:
        UserError: a figure exists (nothing is written then), or none can be drawn.

    Example:
        >>> draw_figures(Run.open(Path("runs/quickstart")))
    """
    subject = Subject(run, data)
    planned = plan(subject)
    targets = {name: run.figures_folder / f"{name}.png" for kind in planned.values() for name in kind}
    for path in targets.values():
        if path.exists() and not overwrite:
            raise UserError(f"{path}: exists; redraw with overwrite=True")
    written = []
    for kind, name, picture in render(planned):
        del kind
        written.append(write_figure(targets[name], picture))
    if not written:
        raise UserError(f"{run.folder}: nothing can be drawn yet; go on with capsnet train --resume {run.folder}")
    return written


def plan(subject: Subject) -> Mapping[str, Mapping[str, Drawing]]:
    """What can be drawn: for each kind of figure its file names and how to draw them; the rest is named once."""
    planned = {}
    for name in sorted(FIGURES, key=lambda name: FIGURES.get(name).place):
        try:
            planned[name] = FIGURES.get(name).drawings(subject)
        except UserError as fault:
            _leave_out(name, fault)
    return planned


def render(planned: Mapping[str, Mapping[str, Drawing]]) -> Iterator[tuple[str, str, bytes]]:
    """Draw one figure after another: its kind, its name and its PNG."""
    for kind, drawings in planned.items():
        for name, draw in drawings.items():
            try:
                figure = draw()
            except UserError as fault:
                _leave_out(name, fault)
                continue
            yield kind, name, to_png(figure)


def write_figure(path: Path, picture: bytes) -> Path:
    """Write a picture, whole or not at all."""
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as fault:
        raise UserError(f"{path.parent}: cannot be made ({fault.strerror})") from None
    write_bytes(path, picture)
    return path


def _leave_out(name: str, fault: UserError) -> None:
    print(f"capsnet: figure {name} is left out: {fault}", file=sys.stderr)
