"""Analyse a run: results go to `analysis/NAME.json`, figures to `figures/NAME.png`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from capsnet.analysis import ANALYSES, Record, analyse
from capsnet.analysis.record import analysis_path, count_images, fingerprint, read_record, write_record
from capsnet.errors import UserError
from capsnet.figures.draw import render, write_figure
from capsnet.figures.subject import FIGURES, Subject
from capsnet.runs.folder import Run
from capsnet.training.device import resolve_device
from capsnet.training.stages import Stages
from capsnet.training.task import MODELS_OF, task_of


class Analysed(NamedTuple):
    """Results of `write_analyses`.

    Args:
        records: by name.
        left_out: the reason, for each analysis that was not possible.
        files: written.
    """

    records: dict[str, Record]
    left_out: dict[str, str]
    files: list[Path]


def write_analyses(
    run: Run,
    only: Sequence[str] = (),
    *,
    limit: int = 0,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> Analysed:
    """Analyse a trained run; each result is written as soon as it is computed.

    Quick results, written by a report, are replaced. A full result is reused if images, seed and weights are the same;
    otherwise it is an error, or with `overwrite` the earlier result is kept under another name.

    Args:
        run: with weights.
        only: names of analyses; none: all.
        limit: number of images (0: each analysis's default).
        seed: for the choice of images and all random numbers.
        device: where to compute: auto, cpu or cuda.
        overwrite: replace existing results.

    Raises:
        UserError: an unknown analysis, a different result exists, or no analysis is possible.

    Example:
        >>> write_analyses(Run.open(Path("runs/quickstart")), ["routing"]).records["routing"]["results"]["t_score"]
    """
    task = task_of(run)
    if task is not None:
        raise UserError(
            f"analyses are of networks that classify images; of {MODELS_OF[task]}, use capsnet report {run.folder}"
        )
    names = list(dict.fromkeys(only)) or in_order()
    for name in names:
        ANALYSES.get(name)
    if limit < 0:
        raise UserError(f"limit must be at least 0, got {limit}")
    model = run.load_model().to(resolve_device(device))
    subject, weights, done = Subject(run), fingerprint(run), Analysed({}, {}, [])
    earlier = {} if overwrite else {name: _find_earlier(subject, name, limit, seed, weights) for name in names}
    with Stages() as stages:
        for number, name in enumerate(names, start=1):
            if kept := earlier.get(name):
                done.records[name] = kept
                print(f"capsnet: {name} already exists, for {kept['n']:,} images; it is kept", file=sys.stderr)
                continue
            stages.show(f"analysing {number} of {len(names)}: {name}", log=True)
            try:
                record = analyse(model, subject.dataset, name, limit=limit, seed=seed, weights=weights)
            except UserError as fault:
                done.left_out[name] = str(fault)
                print(f"capsnet: {name} is left out: {fault}", file=sys.stderr)
                continue
            _set_aside(run, record)
            done.files.append(write_record(run, record))
            done.records[name] = record
    for name in [name for name in done.records if not earlier.get(name)]:
        for _, kind, picture in render({name: FIGURES.get(name).drawings(subject)}):
            done.files.append(write_figure(run.figures_folder / f"{kind}.png", picture))
    if done.files and (run.folder / "report.html").is_file():
        print(f"capsnet: {run.folder / 'report.html'} shows the earlier results; update it with capsnet report "
              f"{run.folder} --overwrite", file=sys.stderr)  # fmt: skip
    if not done.records:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in done.left_out.items())
        raise UserError(f"{run.folder}: nothing can be analysed ({reasons})")
    return done


def in_order() -> list[str]:
    """Names of all analyses, in the report's order."""
    return sorted(ANALYSES, key=lambda name: FIGURES.get(name).place)


def _find_earlier(subject: Subject, name: str, limit: int, seed: int, weights: str) -> Record | None:
    """The existing result if images, seed and weights match; None if there is none, or only a quick one.

    Raises:
        UserError: a result with other images, seed or weights exists, or a figure without its results.
    """
    run = subject.run
    kept, path = read_record(run, name), analysis_path(run, name)
    picture = run.figures_folder / f"{name}.png"
    if kept is None and picture.exists():
        raise UserError(f"{picture} exists; overwrite=True replaces it, `only` chooses others")
    if kept is None or kept["quick"]:
        return None
    # if the data set is smaller than the analysis requires, all images are used
    count = count_images(subject.model, subject.dataset, name, limit)
    if (kept["n"], kept["seed"], kept["weights"]) == (count, seed, weights):
        return kept
    held = f"{kept['n']:,} images, seed {kept['seed']}" + ("" if kept["weights"] == weights else ", with other weights")
    raise UserError(
        f"{path} holds a result for {held}; this one would use {count:,} images, seed {seed}: overwrite=True replaces "
        "it and keeps the earlier one under another name, `only` chooses other analyses"
    )


def _set_aside(run: Run, record: Record) -> None:
    """Rename an existing full result before it is replaced by a different one."""
    name = record["analysis"]
    kept = read_record(run, name)
    same = kept is not None and all(kept[key] == record[key] for key in ("n", "seed", "weights"))
    if kept is None or kept["quick"] or same:
        return
    path = analysis_path(run, name)
    target = path.with_name(f"{name}-n{kept['n']}-seed{kept['seed']}-{kept['weights'][:8]}.json")
    path.replace(target)
    print(f"capsnet: the earlier {name} for {kept['n']:,} images is kept as {target}", file=sys.stderr)
