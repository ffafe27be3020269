"""`capsnet show RUN`: what was trained and how well, its options, its epochs."""

import dataclasses
import shlex

from capsnet.cli.console import print_json, value_words, wrapped
from capsnet.errors import UserError
from capsnet.inference import Evaluation
from capsnet.recipes import RECIPES
from capsnet.runs import Run, RunConfig
from capsnet.runs.built import OPEN, as_built, loss_words
from capsnet.runs.epochs import read_epochs, table
from capsnet.runs.imported import Imported
from capsnet.runs.results import RunResult, describe_masks, read_mask_result
from capsnet.runs.sections import OPTIONS
from capsnet.runs.weights import read_spec
from capsnet.training.task import task_of


def show_epochs(run: Run, *, as_json: bool) -> None:
    """Print the table of epochs.

    Raises:
        UserError: the run has no metrics yet.
    """
    folder = shlex.quote(str(run.folder))
    if task_of(run) is not None:
        raise UserError(f"--epochs is for networks that classify images; use capsnet figures {folder} curves")
    epochs, result = read_epochs(run.metrics()), run.evaluation()
    if not epochs:
        raise UserError(f"{run.folder} has no metrics yet; go on with capsnet train --resume {folder}")
    best_step = result["best_step"] if result else None
    if as_json:
        rows = [dataclasses.asdict(epoch) for epoch in epochs]
        print_json({"run": str(run.folder), "loss": loss_words(run.config), "epochs": rows, "best_step": best_step})
        return
    print(*table(epochs, best_step), sep="\n")
    print(f"\nloss: {loss_words(run.config)}, without the reconstruction loss")


def _print_options(config: RunConfig) -> None:
    """Print each option, section by section."""
    section = ""
    for name, value in config.options().items():
        if OPTIONS[name].section != section:
            section = OPTIONS[name].section
            print(section)
        print(wrapped(value_words(value), f"  {name:20} ", " " * 23))


def print_changes(config: RunConfig) -> None:
    """Print the options that differ from those of a run's recipe, or from the defaults where it has none."""
    recipe = config.run.recipe
    base = RECIPES.get(recipe).config if recipe in RECIPES else RunConfig.from_defaults(model=config.model.name)
    ours, theirs = config.options(), as_built(base).options()
    # the seed is printed, where the data lie says nothing, and the others depend on data and machine
    changed = [key for key in ours if ours[key] != theirs[key] and key not in {"recipe", "seed", "data_dir", *OPEN}]
    if changed:
        print(f"\ndiffers from {f'the recipe {recipe}' if recipe in RECIPES else 'the defaults'}:")
    for key in changed:
        print(wrapped(f"{value_words(ours[key])} (there: {value_words(theirs[key])})", f"  {key:20} ", " " * 23))


def _describe(config: RunConfig, imported: Imported | None) -> dict[str, str]:
    model, training = config.model, config.optimizer
    routing = "" if model.routing is None else f", routing: {model.routing}"
    iterations = "" if model.iterations is None else f", iterations: {model.iterations}"
    network = f"{model.name}{routing}{iterations}"
    if imported is not None:
        return {"data": config.data.name, "model": network, "weights": f"{imported.file}, of {imported.source}"}
    # runs of masks and sequences of older versions do not record a default length
    epochs = "epochs by default" if training.epochs is None else f"{training.epochs} epochs"
    length = epochs if training.steps is None else f"{training.steps:,} steps"
    return {
        "recipe": config.run.recipe or "none",
        "data": config.data.name,
        "model": network,
        "training": f"{length} in batches of {training.batch_size}, seed {config.run.seed}",
    }


def show_run(run: Run, *, every_option: bool) -> None:
    """Print what was trained, the result, and the options that differ from the recipe, or every option."""
    print(run.folder)
    imported = run.imported()
    for head, text in _describe(run.config, imported).items():
        print(wrapped(text, f"{head:10}", " " * 10))
    print()
    task = task_of(run)
    masks, result = (read_mask_result(run.folder), None) if task == "own-masks" else (None, run.evaluation())
    if masks is not None:
        print(*describe_masks(masks), sep="\n")
    elif result is None:
        print(wrapped(" ".join(run.explain_missing_result())))
    else:
        _print_tests(result, imported)
    doubt = read_spec(run.weights_path).doubt if task is None and run.weights_path.is_file() else None
    if doubt is not None:
        print("\nunsure predictions")
        print(*doubt.describe(), sep="\n")
    if every_option:
        print()
        _print_options(run.config)
    elif task is None and imported is None:
        print_changes(run.config)
        print("\nwith --options: every option; with --epochs: each epoch")
    else:
        print("\nwith --options: every option")


def _print_tests(result: RunResult, imported: Imported | None) -> None:
    tests = {"best weights": result["test"], "last step": result["test_last"]}
    if imported is not None:
        tests = {f"imported from {imported.source}": result["test"]}
    for weights, split in tests.items():
        evaluation = Evaluation.from_dict(split)
        low, high = evaluation.error_interval
        error, images = f"{evaluation.error_percent:.2f} %", f"{evaluation.n:,}"
        print(f"{weights}: test error {error} of {images} ({low:.2f} to {high:.2f} %)")
