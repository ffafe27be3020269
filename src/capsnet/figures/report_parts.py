"""Parts of the reports of all runs: the page, the result, the epochs, the errors of each class."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from capsnet._version import __version__
from capsnet.errors import UserError
from capsnet.figures.elements import cards, command_block, grid, section
from capsnet.figures.facts import count_learned, describe_beginner
from capsnet.figures.sections import mistakes_section
from capsnet.inference.evaluate import Evaluation
from capsnet.runs.config import RunConfig
from capsnet.runs.epochs import Epoch, clock, find_best
from capsnet.runs.folder import Run, RunResult, SplitResult

_PAGE = Path(__file__).with_name("report.html")
_MANY_EPOCHS = 20


def page(run: Run, sections: Sequence[str]) -> str:
    """The HTML of a report.

    Args:
        run: the run, which gives the title.
        sections: HTML; empty ones are left out.
    """
    title = f"{run.folder.resolve().name}: {run.config.model.name} on {Path(run.config.data.name).name}"
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        title=escape(title), sections="\n".join(filter(None, sections)), version=escape(__version__)
    )


def unfinished(run: Run) -> str:
    """Why a run has no result, and the command that makes one."""
    words, next_command = run.explain_missing_result()
    return f'<p class="notice">This run: {escape(words)}</p>{command_block(next_command)}'


def headline(run: Run, loss: str) -> str:
    """The test error of a run that classifies, with its interval; of an unfinished run, how to go on.

    Args:
        run: the run.
        loss: display name of its loss.
    """
    result = run.evaluation()
    if result is None:
        return unfinished(run)
    test = Evaluation.from_dict(result["test"])
    low, high = test.error_interval
    numbers = {
        "95 % interval (Wilson)": f"{low:.2f} to {high:.2f} %",
        "accuracy": f"{100 * test.accuracy:.2f} %",
        f"test {test.noun}": f"{test.n:,}",
        loss: f"{test.margin_loss:.4f}",
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
            f"The checkpoint was selected on {validation['n']:,} validation {evaluation.samples} held out of the "
            f"training set (validation accuracy {100 * validation['accuracy']:.2f} %). "
            "The test set was not used for selection."
        )
    learned = count_learned(run)
    samples = evaluation.samples
    number = "" if learned is None else f" on {learned:,} {samples}"
    speed = f"Trained{number} for {duration(result['seconds'])} at {result['images_per_second']:,.0f} {samples}/s."
    return f"{grid(head, rows)}<p>{how} {speed}</p>"


def history(epochs: Sequence[Epoch], best_step: int | None, loss: str, measure: str = "accuracy") -> str:
    """A row for each epoch; a long table is collapsed.

    Args:
        epochs: of the run.
        best_step: whose weights were kept; None: not finished.
        loss: display name of the loss.
        measure: what the epochs hold as accuracy.
    """
    if not epochs:
        return ""
    best = find_best(epochs, best_step)
    head = ["epoch", "training loss", measure, "validation loss", measure, "time", ""]
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
    note = f"<p>Loss: {escape(loss)}.</p>"
    return section("Training history", table + note)


def _loss_and_accuracy(loss: float | None, accuracy: float | None) -> list[str]:
    if loss is None or accuracy is None:
        return ["–", "–"]
    return [f"{loss:.4f}", f"{100 * accuracy:.2f} %"]


def duration(seconds: float) -> str:
    """A time in words."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def class_errors(run: Run) -> str:
    """The errors of each class, and with which classes it is confused."""
    result = run.evaluation()
    if result is None:
        return ""
    test = result["test"]
    confusion, names = test["confusion"], class_names(run, test)
    rows = []
    for label, (name, row) in enumerate(zip(names, confusion, strict=True)):
        images, incorrect = sum(row), sum(row) - row[label]
        others = sorted((k for k in range(len(row)) if k != label and row[k]), key=lambda k: -row[k])
        confused = ", ".join(f"{names[k]} ({row[k]})" for k in others[:3]) + (", …" if len(others) > 3 else "")
        share = f"{100 * incorrect / images:.2f} %" if images else "none"
        rows.append([name, f"{images:,}", f"{incorrect:,}", share, confused])
    return grid(["class", test.get("samples", "images"), "incorrect", "error", "predicted as"], rows)


def mistakes(run: Run) -> str:
    """The files that were classified incorrectly."""
    result = run.evaluation()
    if result is None:
        return ""
    return mistakes_section(result["test"].get("mistakes", []), class_names(run, result["test"]))


def class_names(run: Run, test: SplitResult) -> Sequence[str]:
    """The names of the classes: those of the result, or of the weights, else their numbers."""
    if "class_names" in test:
        return test["class_names"]
    try:
        names: Sequence[str] = run.load_model().class_names
    except UserError:
        return [str(label) for label in range(len(test["confusion"]))]
    return names


def recorded(run: Run) -> str:
    """The versions with which a run was made."""
    environment = run.environment() or {}
    parts = [
        f"{name} {environment[name]}" for name in ("capsnet", "commit", "torch", "python") if environment.get(name)
    ]
    return f"<p>Made with {escape(', '.join(parts))}.</p>" if parts else ""


def option_values(config: RunConfig) -> dict[str, object]:
    """The options of a run as text."""
    values = {name.replace("_", " "): value for name, value in config.options().items()}
    values["model options"] = ", ".join(f"{key}={value}" for key, value in config.model.options.items()) or "none"
    return {name: "none" if value is None else value for name, value in values.items()}
