"""`capsnet show`."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro
from torch import nn

from capsnet.cli.console import print_json, wrapped
from capsnet.cli.describe import describe_routing
from capsnet.cli.parse import parse
from capsnet.data import DATASETS
from capsnet.errors import UserError
from capsnet.inference import Evaluation
from capsnet.models import (
    MODELS,
    SEGMENTERS,
    SEQUENCE_MODELS,
    create_model,
    create_segmenter,
    create_sequence_model,
)
from capsnet.models.factory import model_routing
from capsnet.recipes import RECIPES
from capsnet.recipes.recipe import SECOND_HAND
from capsnet.registry import did_you_mean
from capsnet.routing import ROUTINGS
from capsnet.runs import Run, RunConfig
from capsnet.runs.built import OPEN, as_built, loss_words
from capsnet.runs.epochs import read_epochs, table
from capsnet.runs.pretrained import list_pretrained, model_card
from capsnet.runs.sections import OPTIONS
from capsnet.runs.weights import count_parameters, on_meta, read_spec
from capsnet.studies import STUDIES, compare_runs


@dataclass(frozen=True)
class Show:
    """Show a model, recipe, study, data set, routing or run.

    Examples:
      capsnet show sabour2017-mnist
      capsnet show runs/quickstart --epochs
      capsnet show runs/r3 --against runs/r1
    """

    name: tyro.conf.Positional[str]
    """A name from capsnet list, or a run folder."""
    against: str | None = None
    """Compare with another run on the same test images, by McNemar's exact test."""
    epochs: bool = False
    """For a run: training and validation loss and accuracy of each epoch."""
    options: bool = False
    """For a run: the value of every option."""
    json: bool = False
    """With --epochs, print one JSON object."""


def main(args: list[str]) -> None:
    """Show the entry of this name."""
    command = parse(Show, args)
    name = command.name
    if command.json and not command.epochs:
        raise UserError("--json needs --epochs")
    if command.epochs:
        _show_epochs(Run.open(name), as_json=command.json)
    elif command.against is not None:
        test = compare_runs(Run.open(name), Run.open(command.against))
        print(*test.describe(name, command.against), sep="\n")
    elif name in MODELS:
        _show_model(name)
    elif name in SEGMENTERS:
        _show_named(name, SEGMENTERS.get(name).summary, create_segmenter)
    elif name in SEQUENCE_MODELS:
        _show_named(name, SEQUENCE_MODELS.get(name).summary, create_sequence_model)
    elif name in RECIPES or name in STUDIES:
        # a study and its recipe may have the same name
        if name in RECIPES:
            _show_recipe(name)
        if name in RECIPES and name in STUDIES:
            print()
        if name in STUDIES:
            _show_study(name)
    elif name in DATASETS:
        _print_text(f"{name}: {DATASETS.get(name).summary}\ncapsnet data {name} counts and shows its images")
    elif name in ROUTINGS:
        print(*describe_routing(name), sep="\n")
    elif Path(name).is_dir():
        _show_run(Run.open(Path(name)), every_option=command.options)
    elif name in list_pretrained():
        _print_card(model_card(name).rstrip())
    else:
        known = [*MODELS, *SEGMENTERS, *SEQUENCE_MODELS, *RECIPES, *STUDIES, *DATASETS, *ROUTINGS, *list_pretrained()]
        hint = did_you_mean(name, known)
        raise UserError(f"unknown name {name!r};{hint} {'See' if hint else 'see'} capsnet list, or name a run folder")


def _show_model(name: str) -> None:
    with on_meta():
        model = create_model(name)
    _print_text(f"{name}: {MODELS.get(name).summary}\n\n{model}\n")
    for child, module in model.named_children():
        print(f"{child:20} {count_parameters(module):>12,} parameters")
    routing, iterations = model_routing(name)
    print(f"{'routing':20} {routing or 'none'}{f', {iterations} iterations' if iterations else ''}")
    print(f"{'total':20} {count_parameters(model):>12,} parameters")


def _show_named(name: str, summary: str, create: Callable[[str], nn.Module]) -> None:
    with on_meta():
        model = create(name)
    _print_text(f"{name}: {summary}\n\n{model}\n")
    for child, module in model.named_children():
        print(f"{child:20} {count_parameters(module):>12,} parameters")
    print(f"{'total':20} {count_parameters(model):>12,} parameters")


def _show_recipe(name: str) -> None:
    """Print how a recipe differs from the defaults, and the source of each value."""
    recipe = RECIPES.get(name)
    print(wrapped(f"{name}: {recipe.summary}") + "\n")
    for head, text in (("source", recipe.source), ("reported", recipe.reported), ("differs", recipe.differs)):
        print(wrapped(text, f"{head:10}", " " * 10))
    config = as_built(recipe.config)
    ours, defaults = config.options(), as_built(RunConfig.from_defaults(model=config.model.name)).options()
    # compare the model with the overall default
    changed = [
        key for key in ours if ours[key] != defaults[key] or (key == "model" and ours[key] != RunConfig().model.name)
    ]
    changed = [key for key in changed if key != "recipe"]
    stated = [key for key in ours if key not in changed and key in recipe.settings]
    codes = sorted({origin.partition(" ")[0] for origin in recipe.settings.values() if "@" in origin})
    marks = {code: f"[{number}] " if len(codes) > 1 else "" for number, code in enumerate(codes, 1)}
    for code, mark in marks.items():
        print(f"{'code':10}{mark}{code}")
    for title, keys in (
        ("differs from the defaults", changed),
        ("equal to the defaults, and stated in the source", stated),
    ):
        if keys:
            print(f"\n{title}:")
        for key in keys:
            line = f"  {key:20} {_words(ours[key])}"
            origin = recipe.settings.get(key, "").replace(SECOND_HAND, " *")
            code, _, location = origin.partition(" ")
            origin = marks[code] + location if code in marks else origin
            if len(f"{line:36}  {origin}") > 80:
                print(wrapped(line.strip(), "  ", " " * 23))
                print(wrapped(origin, " " * 23, " " * 23))
            else:
                print(f"{line:36}  {origin}".rstrip())
    if any(SECOND_HAND in origin for origin in recipe.settings.values()):
        print("\n* cited second-hand, not read")
    print(f"\ncapsnet train {name}")


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _print_text(text: str) -> None:
    """Print lines; what is longer than a terminal goes on further in."""
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        print(wrapped(line.strip(), indent, indent + "    "))


def _print_card(card: str) -> None:
    """Print Markdown; a paragraph is as wide as a terminal."""
    for block in card.split("\n\n"):
        if block.startswith(("#", "|", "```")):
            _print_text(block)
        else:
            print(wrapped(" ".join(block.splitlines())))
        print()


def _show_epochs(run: Run, *, as_json: bool) -> None:
    """Print the table of epochs.

    Raises:
        UserError: the run has no metrics yet.
    """
    epochs, result = read_epochs(run.metrics()), run.evaluation()
    if not epochs:
        raise UserError(f"{run.folder} has no metrics yet; go on with capsnet train --resume {run.folder}")
    best_step = result["best_step"] if result else None
    if as_json:
        rows = [dataclasses.asdict(epoch) for epoch in epochs]
        print_json({"run": str(run.folder), "loss": loss_words(run.config), "epochs": rows, "best_step": best_step})
        return
    print(*table(epochs, best_step), sep="\n")
    print(f"\nloss: {loss_words(run.config)}, without the reconstruction loss")


def _show_study(name: str) -> None:
    study = STUDIES.get(name)
    print(wrapped(f"study {name}: {study.summary}") + "\n")
    print(wrapped(study.source, "source    ", " " * 10) + "\n")
    width = max(len(row.label) for row in study.rows)
    for row in study.rows:
        print(f"  {row.label:{width}}  {f'paper: {row.reported}' if row.reported else ''}".rstrip())
        changes = [_flag(key, value) for key, value in row.changes.items()]
        print(wrapped(" ".join([row.recipe, *changes]), "      ", "        "))
    if study.together is not None:
        reported = f"paper: {study.together.reported}" if study.together.reported else ""
        print(f"  {study.together.label:{width}}  {reported}".rstrip())
    if study.stand_in is not None:
        print(f"  uses {study.stand_in.other} if the files of {study.stand_in.data} are missing")
    for budget, content in study.budgets.items():
        seeds = f"{content.seeds} seed{'' if content.seeds == 1 else 's'}"
        print("\n" + wrapped(f"{budget}: {seeds} per row; {content.summary}"))
        print(f"capsnet reproduce {name} --budget {budget}")


def _flag(key: str, value: object) -> str:
    """An option as it is typed."""
    flag = key.replace("_", "-")
    if isinstance(value, dict):
        return " ".join(f"--option {name}={_words(item)}" for name, item in value.items())
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    if isinstance(value, tuple):
        return " ".join([f"--{flag}", *map(_words, value)])
    return f"--{flag} {_words(value)}"


def _print_options(config: RunConfig) -> None:
    """Print each option, section by section."""
    section = ""
    for name, value in config.options().items():
        if OPTIONS[name].section != section:
            section = OPTIONS[name].section
            print(section)
        print(wrapped(_words(value), f"  {name:20} ", " " * 23))


def _print_changes(config: RunConfig) -> None:
    """Print the options that differ from those of the run's recipe, or from the defaults where it has none."""
    recipe = config.run.recipe
    base = RECIPES.get(recipe).config if recipe in RECIPES else RunConfig.from_defaults(model=config.model.name)
    ours, theirs = config.options(), as_built(base).options()
    # the seed is printed, where the data lie says nothing, and the others depend on data and machine
    changed = [key for key in ours if ours[key] != theirs[key] and key not in {"recipe", "seed", "data_dir", *OPEN}]
    if changed:
        print(f"\ndiffers from {f'the recipe {recipe}' if recipe in RECIPES else 'the defaults'}:")
    for key in changed:
        print(wrapped(f"{_words(ours[key])} (there: {_words(theirs[key])})", f"  {key:20} ", " " * 23))


def _describe(config: RunConfig) -> dict[str, str]:
    model, training = config.model, config.optimizer
    iterations = "" if model.iterations is None else f", iterations: {model.iterations}"
    length = f"{training.epochs} epochs" if training.steps is None else f"{training.steps:,} steps"
    return {
        "recipe": config.run.recipe or "none",
        "data": config.data.name,
        "model": f"{model.name}, routing: {model.routing or 'none'}{iterations}",
        "training": f"{length} in batches of {training.batch_size}, seed {config.run.seed}",
    }


def _show_run(run: Run, *, every_option: bool) -> None:
    print(run.folder)
    for head, text in _describe(run.config).items():
        print(wrapped(text, f"{head:10}", " " * 10))
    print()
    result = run.evaluation()
    if result is None:
        print(wrapped(" ".join(run.explain_missing_result())))
    else:
        imported = run.imported()
        tests = {"best weights": result["test"], "last step": result["test_last"]}
        if imported is not None:
            tests = {f"imported from {imported.source}": result["test"]}
        for weights, split in tests.items():
            evaluation = Evaluation.from_dict(split)
            low, high = evaluation.error_interval
            error, images = f"{evaluation.error_percent:.2f} %", f"{evaluation.n:,}"
            print(f"{weights}: test error {error} of {images} ({low:.2f} to {high:.2f} %)")
    doubt = read_spec(run.weights_path).doubt if result is not None and run.weights_path.is_file() else None
    if doubt is not None:
        print("\nunsure predictions")
        print(*doubt.describe(), sep="\n")
    if every_option:
        print()
        _print_options(run.config)
    else:
        _print_changes(run.config)
        print("\nwith --options: every option; with --epochs: each epoch")
