"""All analyses of a run: their numbers into `analysis/NAME.json`, their figures into `figures/NAME.png`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from capsnet.analysis import ANALYSES, Record, analyse
from capsnet.analysis.record import analysis_path, fingerprint, read_record, write_record
from capsnet.errors import UserError
from capsnet.figures.draw import render, write_figure
from capsnet.figures.subject import FIGURES, Subject
from capsnet.runs.folder import Run
from capsnet.training.device import resolve_device


class Analysed(NamedTuple):
    """What was done.

    Args:
        records: by name.
        left_out: why an analysis is not among them.
        files: what was written.
    """

    records: dict[str, Record]
    left_out: dict[str, str]
    files: list[Path]


def write_analyses(
    run: Run,
    names: Sequence[str] = (),
    *,
    limit: int = 0,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> Analysed:
    """Analyse a trained run; each result is written as soon as it is there.

    What a report has written with few images is replaced; what this function has written only with `overwrite`.

    Args:
        run: with weights.
        names: which analyses; none: all.
        limit: how many images each looks at (0: as many as it says itself).
        seed: of the choice of images and of everything drawn.
        device: where to compute: auto, cpu or cuda.
        overwrite: replace results that are there.

    Raises:
        UserError: an unknown analysis, a result that is there, or nothing that can be done.

    Example:
        >>> write_analyses(Run.open(Path("runs/quickstart")), ["routing"]).records["routing"]["results"]["t_score"]
    """
    names = list(dict.fromkeys(names)) or in_order()
    for name in names:
        ANALYSES.get(name)
        if not overwrite:
            _refuse_to_overwrite(run, name)
    if limit < 0:
        raise UserError(f"limit must be at least 0, got {limit}")
    model = run.load_model().to(resolve_device(device))
    subject, weights, done = Subject(run), fingerprint(run), Analysed({}, {}, [])
    for name in names:
        print(f"capsnet: {name} ...", file=sys.stderr)
        try:
            record = analyse(model, subject.dataset, name, limit=limit, seed=seed, weights=weights)
        except UserError as fault:
            done.left_out[name] = str(fault)
            print(f"capsnet: {name} is left out: {fault}", file=sys.stderr)
            continue
        done.files.append(write_record(run, record))
        done.records[name] = record
        for _, kind, picture in render({name: FIGURES.get(name).drawings(subject)}):
            done.files.append(write_figure(run.figures_folder / f"{kind}.png", picture))
    if not done.records:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in done.left_out.items())
        raise UserError(f"{run.folder}: nothing can be analysed ({reasons})")
    return done


def in_order() -> list[str]:
    """Names of all analyses, as they stand in a report."""
    return sorted(ANALYSES, key=lambda name: FIGURES.get(name).place)


def _refuse_to_overwrite(run: Run, name: str) -> None:
    kept, path = read_record(run, name), analysis_path(run, name)
    picture = run.figures_folder / f"{name}.png"
    if kept is not None and not kept["quick"]:
        raise UserError(f"{path}: exists; overwrite=True makes it anew, `only` chooses others")
    if kept is None and picture.exists():
        raise UserError(f"{picture}: exists; overwrite=True makes it anew, `only` chooses others")
