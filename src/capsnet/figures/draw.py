"""All figures of a run, into its folder."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from capsnet.analysis import ANALYSES
from capsnet.data import Dataset
from capsnet.errors import UserError
from capsnet.figures.style import to_png
from capsnet.figures.subject import FIGURES, Drawing, Subject, slug
from capsnet.registry import suggest
from capsnet.runs.files import write_bytes
from capsnet.runs.folder import Run
from capsnet.training.stages import Stages


class Drawn(NamedTuple):
    """What was drawn.

    Args:
        written: files.
        kept: files that were there and were left as they are.
        outdated: those of them that are older than what they show.
    """

    written: list[Path]
    kept: list[Path]
    outdated: list[Path]


def draw_figures(
    run: Run,
    names: Sequence[str] = (),
    *,
    classes: Sequence[str] = (),
    overwrite: bool = False,
    data: Dataset | None = None,
) -> list[Path]:
    """Draw the figures that a run's state allows, and are not there yet; see `draw_missing`.

    Returns:
        The files written.

    Example:
        >>> draw_figures(Run.open("runs/quickstart"), ["curves", "manipulate"], classes=["5"])
    """
    return draw_missing(run, names, classes=classes, overwrite=overwrite, data=data).written


def draw_missing(
    run: Run,
    names: Sequence[str] = (),
    *,
    classes: Sequence[str] = (),
    overwrite: bool = False,
    data: Dataset | None = None,
) -> Drawn:
    """Draw the figures that a run's state allows into `figures/NAME.png`; those that are there are kept.

    What cannot be drawn, for want of data for instance, is named on standard error.

    Args:
        run: finished or not.
        names: which, `"curves"` or `"manipulate"` for instance; none: all. `"manipulate-5"` is that of one class.
        classes: names of classes, of figures that are one file for each, manipulate where none is named; none: all.
        overwrite: draw those anew that are there.
        data: the run's data set, if it is at hand.

    Raises:
        UserError: an unknown name or class, or nothing can be drawn.
    """
    subject = Subject(run, data)
    if classes and not names:
        names = ("manipulate",)
    planned = select(plan(subject, _kinds(names)), names, classes)
    files = {name: run.figures_folder / f"{name}.png" for drawings in planned.values() for name in drawings}
    kept = [] if overwrite else [path for path in files.values() if path.exists()]
    missing = {
        kind: {name: drawing for name, drawing in drawings.items() if files[name] not in kept}
        for kind, drawings in planned.items()
    }
    prepare_analyses(subject, [kind for kind, drawings in missing.items() if drawings])
    written = [write_figure(files[name], picture) for _, name, picture in render(missing)]
    if not written and not kept:
        raise UserError(f"{run.folder}: nothing can be drawn yet; go on with capsnet train --resume {run.folder}")
    return Drawn(written, kept, [path for path in kept if _is_outdated(path, run)])


def _kinds(names: Sequence[str]) -> list[str]:
    """The kinds of figures that names stand for.

    Raises:
        UserError: an unknown name.
    """
    kinds = []
    for name in names:
        kind = name if name in FIGURES else name.partition("-")[0]
        if kind not in FIGURES:
            known = in_report_order()
            raise UserError(f"unknown figure {name!r}{suggest(name, known)}")
        kinds.append(kind)
    return kinds


def select(
    planned: Mapping[str, Mapping[str, Drawing]], names: Sequence[str], classes: Sequence[str]
) -> dict[str, dict[str, Drawing]]:
    """Of what can be drawn, what was asked for by name and by class.

    Raises:
        UserError: no figure of such a name, or of such a class.
    """
    chosen: dict[str, dict[str, Drawing]] = {}
    for kind, drawings in planned.items():
        one_each = list(drawings) != [kind]
        wanted = [f"{kind}-{slug(label)}" for label in classes] if one_each and kind in (names or (kind,)) else []
        wanted += [name for name in names if name.startswith(f"{kind}-")]
        unknown = [name for name in wanted if name not in drawings]
        if unknown:
            known = ", ".join(name.removeprefix(f"{kind}-") for name in drawings)
            raise UserError(f"no figure {unknown[0]!r}: the run's classes are {known}")
        chosen[kind] = {name: drawings[name] for name in dict.fromkeys(wanted)} if wanted else dict(drawings)
    if classes and planned and not any(name.startswith("manipulate") for name in names):
        raise UserError(f"classes choose among the files of manipulate, which is not among {', '.join(names)}; add it")
    return chosen


def _is_outdated(picture: Path, run: Run) -> bool:
    """Whether a picture is older than the weights or the results that it was drawn from."""
    sources = (run.weights_path, run.folder / "evaluation.json")
    drawn = picture.stat().st_mtime
    return any(source.is_file() and source.stat().st_mtime > drawn for source in sources)


def in_report_order() -> list[str]:
    """Names of all figures, as they stand in a report."""
    return sorted(FIGURES, key=lambda name: FIGURES.get(name).place)


def prepare_analyses(subject: Subject, names: Sequence[str]) -> None:
    """Do the analyses that figures need, so that drawing takes little time; faults come up where they are drawn."""
    needed = [name for name in names if name in ANALYSES]
    with Stages() as stages:
        for number, name in enumerate(needed, start=1):
            stages.show(f"analysing {number} of {len(needed)}: {name}")
            with suppress(UserError):
                subject.record(name)


def plan(subject: Subject, kinds: Sequence[str] = ()) -> Mapping[str, Mapping[str, Drawing]]:
    """What can be drawn: for each kind of figure its file names and how to draw them; the rest is named once.

    Args:
        subject: the run.
        kinds: of figures; none: all.
    """
    planned = {}
    for name in in_report_order():
        if kinds and name not in kinds:
            continue
        try:
            planned[name] = FIGURES.get(name).drawings(subject)
        except UserError as fault:
            _leave_out(name, fault)
    return planned


def render(planned: Mapping[str, Mapping[str, Drawing]]) -> Iterator[tuple[str, str, bytes]]:
    """Draw one figure after another: its kind, its name and its PNG."""
    total, number = sum(map(len, planned.values())), 0
    with Stages() as stages:
        for kind, drawings in planned.items():
            for name, draw in drawings.items():
                number += 1
                stages.show(f"drawing {number} of {total}: {name}")
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
        raise UserError(f"{path.parent} cannot be made ({fault.strerror})") from None
    write_bytes(path, picture)
    return path


def _leave_out(name: str, fault: UserError) -> None:
    print(f"capsnet: figure {name} is left out: {fault}", file=sys.stderr)
