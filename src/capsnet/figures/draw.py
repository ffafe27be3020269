"""Draw the figures of a run into its folder."""

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
from capsnet.training.task import Task, task_of


class Drawn(NamedTuple):
    """Results of `draw_missing`.

    Args:
        written: new files.
        kept: existing files, unchanged.
        outdated: kept files older than the weights or results they show.
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
    """Draw the available figures that do not exist yet; see `draw_missing`.

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
    """Draw the available figures into `figures/NAME.png`; existing files are kept.

    A figure that cannot be drawn, for example because its data set is missing, is reported on standard error.

    Args:
        run: finished or not.
        names: for example `"curves"`, `"manipulate"`, or `"manipulate-5"` for one class; empty: all.
        classes: class names, for figures with one file per class (default manipulate); empty: all.
        overwrite: redraw existing figures.
        data: the run's data set; None: loaded with the run's settings.

    Raises:
        UserError: an unknown name or class, or no figure can be drawn.
    """
    task = task_of(run)
    if task is not None:
        return _draw_other(run, task, names, classes, overwrite=overwrite)
    subject = Subject(run, data)
    if classes and not names:
        names = ("manipulate",)
    planned = select(plan(subject, _kinds(names)), names, classes, subject.class_names if classes else ())
    files = {name: run.figures_folder / f"{name}.png" for drawings in planned.values() for name in drawings}
    kept = [] if overwrite else [path for path in files.values() if path.exists()]
    missing = {
        kind: {name: drawing for name, drawing in drawings.items() if files[name] not in kept}
        for kind, drawings in planned.items()
    }
    prepare_analyses(subject, [kind for kind, drawings in missing.items() if drawings])
    written = [write_figure(files[name], picture) for _, name, picture in render(missing)]
    if not written and not kept:
        if run.evaluation() is not None:
            raise UserError(f"{run.folder}: none of these figures can be drawn; the reasons are above")
        raise UserError(f"{run.folder}: nothing can be drawn yet; continue with capsnet train --resume {run.folder}")
    return Drawn(written, kept, [path for path in kept if _is_outdated(path, run)])


def _draw_other(run: Run, task: Task, names: Sequence[str], classes: Sequence[str], *, overwrite: bool) -> Drawn:
    """The figures of a run that trained a segmentation model or a model of sequences."""
    if classes:
        raise UserError(f"classes must be left out: {run.folder} has no figures with one file per class")
    # imported late: the module is for these runs only
    from capsnet.figures.other_runs import other_figures

    figures = {run.figures_folder / f"{name}.png": figure for name, figure in other_figures(run, task, names).items()}
    kept = [] if overwrite else [path for path in figures if path.exists()]
    written = [write_figure(path, to_png(figure.draw())) for path, figure in figures.items() if path not in kept]
    return Drawn(written, kept, [path for path in kept if _is_outdated(path, run)])


def _kinds(names: Sequence[str]) -> list[str]:
    """The registered figures that names refer to.

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
    planned: Mapping[str, Mapping[str, Drawing]],
    names: Sequence[str],
    classes: Sequence[str],
    class_names: Sequence[str] = (),
) -> dict[str, dict[str, Drawing]]:
    """Select the requested figures by name and by class.

    Args:
        planned: by kind, a function for each file.
        names: of figures or kinds.
        classes: whose files of a kind with one for each class are selected.
        class_names: all classes of the run, in the order of these files.

    Raises:
        UserError: no figure has this name or class.
    """
    chosen: dict[str, dict[str, Drawing]] = {}
    for kind, drawings in planned.items():
        one_each = list(drawings) != [kind]
        wanted: list[str] = []
        if one_each and kind in (names or (kind,)):
            # two classes may have names that differ in signs only, which file names leave out
            files = dict(zip(class_names, drawings, strict=False))
            wanted = [files.get(label, f"{kind}-{slug(label)}") for label in classes]
        wanted += [name for name in names if name.startswith(f"{kind}-")]
        unknown = [name for name in wanted if name not in drawings]
        if unknown:
            known = ", ".join(name.removeprefix(f"{kind}-") for name in drawings)
            raise UserError(f"no figure {unknown[0]!r}: the run's classes are {known}")
        chosen[kind] = {name: drawings[name] for name in dict.fromkeys(wanted)} if wanted else dict(drawings)
    if classes and planned and not any(name.startswith("manipulate") for name in names):
        raise UserError(f"classes needs the figure manipulate, whose files it selects; add it to {', '.join(names)}")
    return chosen


def _is_outdated(picture: Path, run: Run) -> bool:
    """Whether a figure is older than the weights or results it shows."""
    sources = (run.weights_path, run.folder / "evaluation.json")
    drawn = picture.stat().st_mtime
    return any(source.is_file() and source.stat().st_mtime > drawn for source in sources)


def in_report_order() -> list[str]:
    """Names of all figures, in the report's order."""
    return sorted(FIGURES, key=lambda name: FIGURES.get(name).place)


def prepare_analyses(subject: Subject, names: Sequence[str]) -> None:
    """Run the analyses that figures need; errors are reported when the figures are drawn."""
    needed = [name for name in names if name in ANALYSES]
    with Stages() as stages:
        for number, name in enumerate(needed, start=1):
            stages.show(f"analysing {number} of {len(needed)}: {name}")
            with suppress(UserError):
                subject.record(name)


def plan(subject: Subject, kinds: Sequence[str] = ()) -> Mapping[str, Mapping[str, Drawing]]:
    """The figures that can be drawn, with a function for each file; others are reported once.

    Args:
        subject: the run.
        kinds: names of registered figures; empty: all.
    """
    planned, left_out = {}, _LeftOut()
    for name in in_report_order():
        if kinds and name not in kinds:
            continue
        try:
            planned[name] = FIGURES.get(name).drawings(subject)
            if name in kinds and not planned[name]:
                raise UserError("it does not apply to this run")
        except UserError as fault:
            left_out.add(name, fault)
    left_out.report()
    return planned


def render(planned: Mapping[str, Mapping[str, Drawing]]) -> Iterator[tuple[str, str, bytes]]:
    """Draw the figures one by one; yields kind, name and PNG."""
    total, number, left_out = sum(map(len, planned.values())), 0, _LeftOut()
    with Stages() as stages:
        for kind, drawings in planned.items():
            for name, draw in drawings.items():
                number += 1
                stages.show(f"drawing {number} of {total}: {name}")
                try:
                    figure = draw()
                except UserError as fault:
                    left_out.add(name, fault)
                    continue
                yield kind, name, to_png(figure)
    left_out.report()


def write_figure(path: Path, picture: bytes) -> Path:
    """Write a picture atomically."""
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as fault:
        raise UserError(f"{path.parent} cannot be created ({fault.strerror})") from None
    write_bytes(path, picture)
    return path


class _LeftOut:
    """The figures that cannot be drawn, by the reason, which is printed once."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, name: str, fault: UserError) -> None:
        self._names.setdefault(str(fault), []).append(name)

    def report(self) -> None:
        for reason, names in self._names.items():
            words = f"figure {names[0]} is" if len(names) == 1 else f"figures {', '.join(names)} are"
            print(f"capsnet: {words} left out: {reason}", file=sys.stderr)
