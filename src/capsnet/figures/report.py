"""The report of a run: `report.html`, one self-contained file without scripts or network access."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from capsnet.analysis import Record
from capsnet.errors import UserError
from capsnet.figures.analyses import in_order
from capsnet.figures.command import changes, command
from capsnet.figures.draw import plan, prepare_analyses, render, write_figure
from capsnet.figures.elements import command_block, figure, gallery, pairs, section
from capsnet.figures.report_parts import class_errors, headline, history, mistakes, option_values, page, recorded
from capsnet.figures.sections import analysis_section, left_out_section
from capsnet.figures.subject import FIGURES, Subject
from capsnet.inference.evaluate import Evaluation
from capsnet.recipes import RECIPES
from capsnet.runs.built import loss_words
from capsnet.runs.epochs import read_epochs
from capsnet.runs.files import write_text
from capsnet.runs.folder import Run
from capsnet.training.task import task_of


def write_report(run: Run, *, overwrite: bool = False) -> Path:
    """Draw a run's figures and write `report.html` around them.

    Figures already in the run's folder are kept unless `overwrite`; those in the report are always redrawn.

    Args:
        run: finished or not.
        overwrite: replace an existing report and existing figures.

    Returns:
        The report's path.

    Raises:
        UserError: the report exists, or the run has nothing to show.

    Example:
        >>> write_report(Run.open(Path("runs/quickstart")))
    """
    path = run.folder / "report.html"
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; overwrite=True replaces it")
    task = task_of(run)
    if task is not None:
        # imported late: the module is for these runs only
        from capsnet.figures.other_report import build_other_page

        write_text(path, build_other_page(run, task, overwrite=overwrite))
        return path
    # damaged files are refused before anything is drawn
    run.metrics(), run.evaluation()
    subject = Subject(run)
    pictures: dict[str, dict[str, bytes]] = {}
    planned = plan(subject)
    prepare_analyses(subject, list(planned))
    for kind, name, picture in render(planned):
        pictures.setdefault(kind, {})[name] = picture
        target = run.figures_folder / f"{name}.png"
        if overwrite or not target.exists():
            write_figure(target, picture)
    if not pictures and run.evaluation() is None:
        raise UserError(f"{run.folder} has nothing to report yet; continue with capsnet train --resume {run.folder}")
    captions = {kind: FIGURES.get(kind).describe(subject) for kind in pictures}
    write_text(path, build_page(run, pictures, *_records(subject), captions))
    return path


def _records(subject: Subject) -> tuple[dict[str, Record], dict[str, str]]:
    """The analyses that the figures were drawn from, and why others are missing."""
    records, left_out = {}, {}
    # a run without weights has nothing to analyse; its headline explains that
    for name in in_order() if subject.run.weights_path.is_file() else ():
        try:
            records[name] = subject.record(name)
        except UserError as fault:
            left_out[name] = str(fault)
    return records, left_out


def build_page(
    run: Run,
    pictures: Mapping[str, Mapping[str, bytes]],
    records: Mapping[str, Record] | None = None,
    left_out: Mapping[str, str] | None = None,
    captions: Mapping[str, str] | None = None,
) -> str:
    """The HTML of a report.

    Args:
        run: the run.
        pictures: PNG files by kind of figure and name.
        records: analyses by name; each becomes a section with its figure.
        left_out: analyses that are not possible for this run, and why.
        captions: one for each kind of figure.
    """
    records, captions, result = records or {}, captions or {}, run.evaluation()
    sections = [
        headline(run, loss_words(run.config)),
        _recipe(run),
        history(
            read_epochs(run.metrics()),
            result["best_step"] if result else None,
            f"{loss_words(run.config)}, without the reconstruction loss",
        ),
        *(
            analysis_section(records[kind], figure(kind, files[kind], captions.get(kind, ""), FIGURES.get(kind).charts))
            if kind in records
            else _figures(kind, files, captions.get(kind, ""))
            for kind, files in pictures.items()
        ),
        left_out_section(left_out or {}),
        section("Test error by class", class_errors(run)),
        mistakes(run),
        section("How to reproduce this run", command_block(_made_by(run)) + recorded(run)),
        section("Configuration", pairs(option_values(run.config))) if run.imported() is None else _imported(run),
        section("Environment", pairs(run.environment() or {})),
    ]
    return page(run, sections)


def _recipe(run: Run) -> str:
    if run.config.run.recipe not in RECIPES:
        return ""
    recipe, result = RECIPES.get(run.config.run.recipe), run.evaluation()
    ours = "not finished"
    if result is not None:
        test = Evaluation.from_dict(result["test"])
        low, high = test.error_interval
        ours = (
            f"test error {test.error_percent:.2f} % ({low:.2f} to {high:.2f} %), accuracy {100 * test.accuracy:.2f} %"
        )
    rows = {
        "summary": recipe.summary,
        "source": recipe.source,
        "reported result": recipe.reported + ("" if recipe.is_of(run.config) else " (of other data or another model)"),
        "this run (n = 1)": ours,
    }
    rows["known differences"] = recipe.differs
    changed = changes(recipe.config, run.config)
    if changed:
        rows["changed in this run"] = changed
    return section(f"Recipe {run.config.run.recipe}", pairs(rows))


def _figures(kind: str, files: Mapping[str, bytes], caption: str) -> str:
    if list(files) == [kind]:
        return f"<section>{figure(kind, files[kind], caption, FIGURES.get(kind).charts)}</section>"
    return section("Perturbing each dimension of a capsule", f"<p>{escape(caption)}</p>{gallery(files, f'{kind}-')}")


def _imported(run: Run) -> str:
    """The origin of imported weights; how they were trained is unknown."""
    imported, config = run.imported(), run.config
    assert imported is not None
    rows: dict[str, object] = {"file": imported.file, "SHA-256": imported.sha256, "source": imported.source}
    rows |= {
        "model": config.model.name,
        "data": config.data.name,
        "routing iterations": config.model.iterations or "none",
    }
    return section("Imported weights", pairs(rows | {"notes": "; ".join(imported.notes) or "none"}))


def _made_by(run: Run) -> str:
    """The command that repeats the run."""
    imported = run.imported()
    return command(run.config) if imported is None else imported.command
