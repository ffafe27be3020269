"""The report of a run that trained a segmentation model or a model of sequences."""

from html import escape

from capsnet.errors import UserError
from capsnet.figures.command import other_command
from capsnet.figures.coupling_by_class import measure_couplings
from capsnet.figures.draw import render, write_figure
from capsnet.figures.elements import cards, command_block, figure, grid, pairs, section
from capsnet.figures.other_runs import other_figures
from capsnet.figures.report_parts import (
    class_errors,
    duration,
    headline,
    history,
    mistakes,
    option_values,
    page,
    recorded,
    unfinished,
)
from capsnet.inference.find_samples import find_sequences
from capsnet.losses import LOSSES
from capsnet.models import load_sequence_model
from capsnet.runs.epochs import read_epochs
from capsnet.runs.folder import Run
from capsnet.runs.results import MaskRunResult, MaskSplitResult, read_mask_result
from capsnet.training.other_inputs import options_of
from capsnet.training.task import Task

_MASK_LOSS = "margin loss of each pixel plus Dice loss"


def build_other_page(run: Run, task: Task, *, overwrite: bool) -> str:
    """Draw a run's figures into its folder, and return the HTML of its report.

    Args:
        run: with weights, finished or not.
        task: what it trained.
        overwrite: replace existing figures.

    Raises:
        UserError: the run has no weights yet, or a damaged file.
    """
    figures = other_figures(run, task)
    shown = []
    for _, name, picture in render({"all": {name: one.draw for name, one in figures.items()}}):
        target = run.figures_folder / f"{name}.png"
        if overwrite or not target.exists():
            write_figure(target, picture)
        drawn = figures[name]
        shown.append(f"<section>{figure(name, picture, drawn.describe(), drawn.charts)}</section>")
    parts = _mask_parts(run) if task == "own-masks" else _sequence_parts(run)
    options = {name.replace("_", " "): None for name in options_of(task)}
    values = {name: value for name, value in option_values(run.config).items() if name in options}
    sections = [
        *parts[:2],
        *shown,
        *parts[2:],
        section("How to reproduce this run", command_block(other_command(run.config, task)) + recorded(run)),
        section("Configuration", pairs(values)),
        section("Environment", pairs(run.environment() or {})),
    ]
    return page(run, sections)


def _mask_parts(run: Run) -> list[str]:
    """The result of a segmentation model, its epochs, and its classes."""
    result = read_mask_result(run.folder)
    best_step = None if result is None else result["best_step"]
    # the epochs of a run hold accuracy; here the Dice coefficient stands for it
    names = {"loss": "margin_loss", "dice": "accuracy", "validation_dice": "validation_accuracy"}
    rows = [{names.get(name, name): value for name, value in row.items()} for row in run.metrics()]
    epochs = history(read_epochs(rows), best_step, _MASK_LOSS, "Dice")
    if result is None:
        return [unfinished(run), epochs]
    return [_mask_headline(result), epochs, section("Test results by class", _mask_classes(result["test"]))]


def _mask_headline(result: MaskRunResult) -> str:
    test = result["test"]
    numbers = {"IoU": f"{100 * test['iou']:.2f} %"}
    if "pixel_error" in test:
        numbers["pixel error"] = f"{100 * test['pixel_error']:.2f} %"
    numbers |= {"test images": f"{test['n']:,}", _MASK_LOSS: f"{test['loss']:.4f}"}
    missed = [row["class_name"] for row in test["classes"] if row["dice"] == 0 and row.get("share") != 0]
    notice = ""
    if missed:
        text = f"This network is barely trained: in the test images it marks no pixel of {', '.join(missed)} correctly."
        notice = f'<p class="notice">{escape(text)}</p>'
    kept = [("selected", test, result["best_step"]), ("last", result["test_last"], result["step"])]
    if result["best_step"] == result["step"]:
        kept = [("last (selected)", test, result["step"])]
    rows = [
        [name, f"{step:,}", f"{100 * split['dice']:.2f} %", f"{100 * split['iou']:.2f} %"] for name, split, step in kept
    ]
    how = "No validation split: the final weights are used."
    if "validation" in result:
        validation = result["validation"]
        how = (
            f"The checkpoint was selected on {validation['n']:,} validation images (validation Dice "
            f"{100 * validation['dice']:.2f} %). The test images were not used for selection."
        )
    speed = f"Trained for {duration(result['seconds'])} at {result['images_per_second']:,.0f} images/s."
    return (
        f'{notice}<section class="headline"><p class="number">{100 * test["dice"]:.2f} %<span>test Dice</span></p>'
        f"{cards(numbers)}{grid(['weights', 'step', 'Dice', 'IoU'], rows)}"
        f"<p>Dice and IoU: mean over the images, in each of which all classes are pooled. {how} {speed}</p></section>"
    )


def _mask_classes(test: MaskSplitResult) -> str:
    rows = []
    for row in test["classes"]:
        shares = [f"{100 * row[name]:.2f} %" if name in row else "–" for name in ("share", "pixel_error")]
        rows.append([row["class_name"], *shares, f"{100 * row['dice']:.2f} %", f"{100 * row['iou']:.2f} %"])
    table = grid(["class", "share of pixels", "pixel error", "Dice", "IoU"], rows)
    note = "All test images pooled. Pixel error: pixels that are in one of the two masks of the class, but not in both."
    absent = [row["class_name"] for row in test["classes"] if row.get("share") == 0]
    if absent:
        note += f" No pixel is of {', '.join(absent)}: Dice and IoU are 1 where none is predicted, else 0."
    return f"{table}<p>{escape(note)}</p>"


def _sequence_parts(run: Run) -> list[str]:
    """The result of a model of sequences, its epochs, its classes, couplings and mistakes."""
    result = run.evaluation()
    loss = LOSSES.get(load_sequence_model(run.weights_path).loss).words
    epochs = history(read_epochs(run.metrics()), result["best_step"] if result else None, loss)
    classes = section("Test error by class", class_errors(run))
    return [headline(run, loss), epochs, _couplings(run), classes, mistakes(run)]


def _couplings(run: Run) -> str:
    """The couplings of the test sequences by class; empty without coupling, or without the data."""
    model = load_sequence_model(run.weights_path)
    try:
        data = find_sequences(model, run=run).data
    except UserError:
        # the figures name the reason
        return ""
    rows = measure_couplings(model, data)
    if not rows:
        return ""
    samples = "series" if data.preparation is None else "recordings"
    table = grid(
        ["true class", samples, "coupling, all windows", "most coupled window", "its place"],
        [
            [row.class_name, f"{row.n:,}", f"{row.mean:.2g}", f"{row.largest:.2g}", f"{100 * row.place:.0f} %"]
            for row in rows
        ],
    )
    text = (
        f"Coupling of the windows of each test sequence to the capsule of its true class, mean over the {samples} of a "
        f"class. Uniform coupling would be {1 / len(data.class_names):.2g}. The place of the most coupled window is "
        "given as a share of the sequence: 0 % is its start."
    )
    return section("Coupling by class", table + f"<p>{escape(text)}</p>")
