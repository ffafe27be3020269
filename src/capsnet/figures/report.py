"""The report of a run: `report.html`, one self-contained file without scripts or network access."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from capsnet._version import __version__
from capsnet.analysis import Record
from capsnet.errors import UserError
from capsnet.figures.analyses import in_order
from capsnet.figures.command import changes, command
from capsnet.figures.draw import plan, prepare_analyses, render, write_figure
from capsnet.figures.elements import cards, command_block, figure, gallery, grid, pairs, section
from capsnet.figures.facts import count_learned, describe_beginner
from capsnet.figures.sections import analysis_section, left_out_section, mistakes_section
from capsnet.figures.subject import FIGURES, Subject
from capsnet.inference.evaluate import Evaluation
from capsnet.recipes import RECIPES
from capsnet.runs.built import loss_words
from capsnet.runs.config import RunConfig
from capsnet.runs.epochs import clock, find_best, read_epochs
from capsnet.runs.files import write_text
from capsnet.runs.folder import Run, RunResult
from capsnet.training.task import MODELS_OF, task_of

_PAGE = Path(__file__).with_suffix(".html")
_MANY_EPOCHS = 20


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
    task = task_of(run)
    if task is not None:
        raise UserError(
            f"a report is for networks that classify images; of {MODELS_OF[task]}, use capsnet figures {run.folder}"
        )
    path = run.folder / "report.html"
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; overwrite=True replaces it")
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
    records, captions = records or {}, captions or {}
    sections = [
        _headline(run),
        _recipe(run),
        _epochs(run),
        *(
            analysis_section(records[kind], figure(kind, files[kind], captions.get(kind, ""), FIGURES.get(kind).charts))
            if kind in records
            else _figures(kind, files, captions.get(kind, ""))
            for kind, files in pictures.items()
        ),
        left_out_section(left_out or {}),
        section("Test error by class", _class_errors(run)),
        _mistakes(run),
        section("How to reproduce this run", command_block(_made_by(run)) + _recorded(run)),
        section("Configuration", pairs(_options(run.config))) if run.imported() is None else _imported(run),
        section("Environment", pairs(run.environment() or {})),
    ]
    title = f"{run.folder.resolve().name}: {run.config.model.name} on {Path(run.config.data.name).name}"
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        title=escape(title), sections="\n".join(filter(None, sections)), version=escape(__version__)
    )


def _headline(run: Run) -> str:
    result = run.evaluation()
    if result is None:
        words, next_command = run.explain_missing_result()
        return f'<p class="notice">This run: {escape(words)}</p>{command_block(next_command)}'
    test = Evaluation.from_dict(result["test"])
    low, high = test.error_interval
    numbers = {
        "95 % interval (Wilson)": f"{low:.2f} to {high:.2f} %",
        "accuracy": f"{100 * test.accuracy:.2f} %",
        f"test {test.noun}": f"{test.n:,}",
        loss_words(run.config): f"{test.margin_loss:.4f}",
    }
    if test.is_uneven:
        numbers["balanced accuracy (mean of the classes)"] = f"{100 * test.balanced_accuracy:.2f} %"
    if test.digit_error_percent is not None:
        numbers["digit error"] = f"{test.digit_error_percent:.2f} %"
    if test.reconstruction_mse is not None:
        numbers["reconstruction error (mean squared, per pixel)"] = f"{test.reconstruction_mse:.4f}"
    beginner = describe_beginner(run)
    notice = f'<p class="notice">{escape(beginner)}</p>' if beginner else ""
    return (
        f'{notice}<section class="headline"><p class="number">{test.error_percent:.2f} %<span>test error</span></p>'
        f"{cards(numbers)}{_best_and_last(run, result) if run.imported() is None else ''}</section>"
    )


def _best_and_last(run: Run, result: RunResult) -> str:
    rows = []
    kept = [("selected", result["test"], result["best_step"]), ("last", result["test_last"], result["step"])]
    if result["best_step"] == result["step"]:
        kept = [("last (selected)", result["test"], result["step"])]
    for name, split, step in kept:
        evaluation = Evaluation.from_dict(split)
        low, high = evaluation.error_interval
        incorrect = f"{round(evaluation.n * (1 - evaluation.accuracy)):,} of {evaluation.n:,}"
        rows.append([name, f"{step:,}", f"{evaluation.error_percent:.2f} %", f"{low:.2f} to {high:.2f} %", incorrect])
    head = ["weights", "step", "test error", "95 % interval", f"incorrect {evaluation.noun}"]
    how = "No validation split: the final weights are used."
    if "validation" in result:
        validation = result["validation"]
        how = (
            f"The checkpoint was selected on {validation['n']:,} validation images held out of the training set "
            f"(validation accuracy {100 * validation['accuracy']:.2f} %). The test set was not used for selection."
        )
    learned = count_learned(run)
    images = "" if learned is None else f" on {learned:,} images"
    speed = f"Trained{images} for {_duration(result['seconds'])} at {result['images_per_second']:,.0f} images/s."
    return f"{grid(head, rows)}<p>{how} {speed}</p>"


def _epochs(run: Run) -> str:
    """A row for each epoch; a long table is collapsed."""
    result, epochs = run.evaluation(), read_epochs(run.metrics())
    if not epochs:
        return ""
    best = find_best(epochs, result["best_step"] if result else None)
    head = ["epoch", "training loss", "accuracy", "validation loss", "accuracy", "time", ""]
    rows = [
        [
            str(epoch.number),
            *_loss_and_accuracy(epoch.loss, epoch.accuracy),
            *_loss_and_accuracy(epoch.validation_loss, epoch.validation_accuracy),
            clock(epoch.seconds),
            "selected" if epoch is best else "",
        ]
        for epoch in epochs
    ]
    table = grid(head, rows)
    if len(rows) > _MANY_EPOCHS:
        table = f"<details><summary>All {len(rows):,} epochs</summary>{table}</details>"
    note = f"<p>Loss: {escape(loss_words(run.config))}, without the reconstruction loss.</p>"
    return section("Training history", table + note)


def _loss_and_accuracy(loss: float | None, accuracy: float | None) -> list[str]:
    if loss is None or accuracy is None:
        return ["–", "–"]
    return [f"{loss:.4f}", f"{100 * accuracy:.2f} %"]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


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
        "reported result": recipe.reported,
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


def _class_errors(run: Run) -> str:
    result = run.evaluation()
    if result is None:
        return ""
    confusion: list[list[int]] = result["test"]["confusion"]
    names = _class_names(run, len(confusion))
    rows = []
    for label, (name, row) in enumerate(zip(names, confusion, strict=True)):
        images, incorrect = sum(row), sum(row) - row[label]
        others = sorted((k for k in range(len(row)) if k != label and row[k]), key=lambda k: -row[k])
        confused = ", ".join(f"{names[k]} ({row[k]})" for k in others[:3]) + (", …" if len(others) > 3 else "")
        share = f"{100 * incorrect / images:.2f} %" if images else "none"
        rows.append([name, f"{images:,}", f"{incorrect:,}", share, confused])
    return grid(["class", "images", "incorrect", "error", "predicted as"], rows)


def _mistakes(run: Run) -> str:
    result = run.evaluation()
    if result is None:
        return ""
    return mistakes_section(result["test"].get("mistakes", []), _class_names(run, len(result["test"]["confusion"])))


def _class_names(run: Run, count: int) -> Sequence[str]:
    try:
        names: Sequence[str] = run.load_model().class_names
    except UserError:
        return [str(label) for label in range(count)]
    return names


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


def _recorded(run: Run) -> str:
    environment = run.environment() or {}
    parts = [
        f"{name} {environment[name]}" for name in ("capsnet", "commit", "torch", "python") if environment.get(name)
    ]
    return f"<p>Made with {escape(', '.join(parts))}.</p>" if parts else ""


def _options(config: RunConfig) -> dict[str, object]:
    values = {name.replace("_", " "): value for name, value in config.options().items()}
    values["model options"] = ", ".join(f"{key}={value}" for key, value in config.model.options.items()) or "none"
    return {name: "none" if value is None else value for name, value in values.items()}
