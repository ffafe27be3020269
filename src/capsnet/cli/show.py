"""`capsnet show`."""

import dataclasses
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro
from torch import nn

from capsnet.cli.console import print_json
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
from capsnet.registry import did_you_mean
from capsnet.routing import ROUTINGS
from capsnet.runs import Run, RunConfig
from capsnet.runs.built import as_built, loss_words
from capsnet.runs.epochs import read_epochs, table
from capsnet.runs.pretrained import list_pretrained, model_card
from capsnet.runs.results import describe_masks, read_mask_result
from capsnet.runs.sections import OPTIONS
from capsnet.runs.weights import count_parameters, on_meta, read_spec
from capsnet.studies import STUDIES, compare_runs
from capsnet.training.task import task_of


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
        print(f"{name}: {DATASETS.get(name).summary}\ncapsnet data {name} counts and shows its images")
    elif name in ROUTINGS:
        print(*describe_routing(name), sep="\n")
    elif Path(name).is_dir():
        _show_run(Run.open(Path(name)))
    elif name in list_pretrained():
        print(model_card(name).rstrip())
    else:
        known = [*MODELS, *SEGMENTERS, *SEQUENCE_MODELS, *RECIPES, *STUDIES, *DATASETS, *ROUTINGS, *list_pretrained()]
        hint = did_you_mean(name, known)
        raise UserError(f"unknown name {name!r};{hint} {'See' if hint else 'see'} capsnet list, or name a run folder")


def _show_model(name: str) -> None:
    with on_meta():
        model = create_model(name)
    print(f"{name}: {MODELS.get(name).summary}\n\n{model}\n")
    for child, module in model.named_children():
        print(f"{child:20} {count_parameters(module):>12,} parameters")
    routing, iterations = model_routing(name)
    print(f"{'routing':20} {routing or 'none'}{f', {iterations} iterations' if iterations else ''}")
    print(f"{'total':20} {count_parameters(model):>12,} parameters")


def _show_named(name: str, summary: str, create: Callable[[str], nn.Module]) -> None:
    with on_meta():
        model = create(name)
    print(f"{name}: {summary}\n\n{model}\n")
    for child, module in model.named_children():
        print(f"{child:20} {count_parameters(module):>12,} parameters")
    print(f"{'total':20} {count_parameters(model):>12,} parameters")


def _show_recipe(name: str) -> None:
    """Print how a recipe differs from the defaults, and the source of each value."""
    recipe = RECIPES.get(name)
    print(_wrapped(f"{name}: {recipe.summary}") + "\n")
    for head, text in (("source", recipe.source), ("reported", recipe.reported), ("differs", recipe.differs)):
        print(_wrapped(text, f"{head:10}", " " * 10))
    config = as_built(recipe.config)
    ours, defaults = config.options(), as_built(RunConfig.from_defaults(model=config.model.name)).options()
    # compare the model with the overall default
    changed = [
        key for key in ours if ours[key] != defaults[key] or (key == "model" and ours[key] != RunConfig().model.name)
    ]
    changed = [key for key in changed if key != "recipe"]
    stated = [key for key in ours if key not in changed and key in recipe.settings]
    codes = {origin.partition(" ")[0] for origin in recipe.settings.values() if "@" in origin}
    for code in sorted(codes):
        print(f"{'code':10}{code}")
    for title, keys in (
        ("differs from the defaults", changed),
        ("equal to the defaults, and stated in the source", stated),
    ):
        if keys:
            print(f"\n{title}:")
        for key in keys:
            line = f"  {key:20} {_words(ours[key])}"
            code, _, location = recipe.settings.get(key, "").partition(" ")
            origin = location if len(codes) == 1 and code in codes else f"{code} {location}".strip()
            print(f"{line:36}  {origin}" if origin else line)
    print(f"\ncapsnet train {name}")


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _wrapped(text: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(text, 80, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _show_epochs(run: Run, *, as_json: bool) -> None:
    """Print the table of epochs.

    Raises:
        UserError: the run has no metrics yet.
    """
    if task_of(run) is not None:
        raise UserError(f"--epochs is for networks that classify images; use capsnet figures {run.folder} curves")
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
    print(_wrapped(f"study {name}: {study.summary}") + "\n")
    print(_wrapped(study.source, "source    ", " " * 10) + "\n")
    width = max(len(row.label) for row in study.rows)
    for row in study.rows:
        print(f"  {row.label:{width}}  {f'paper: {row.reported}' if row.reported else ''}".rstrip())
        changes = [_flag(key, value) for key, value in row.changes.items()]
        print(_wrapped(" ".join([row.recipe, *changes]), "      ", "        "))
    if study.together is not None:
        reported = f"paper: {study.together.reported}" if study.together.reported else ""
        print(f"  {study.together.label:{width}}  {reported}".rstrip())
    if study.stand_in is not None:
        print(f"  uses {study.stand_in.other} if the files of {study.stand_in.data} are missing")
    for budget, content in study.budgets.items():
        seeds = f"{content.seeds} seed{'' if content.seeds == 1 else 's'}"
        print("\n" + _wrapped(f"{budget}: {seeds} per row; {content.summary}"))
        print(f"capsnet reproduce {name} --budget {budget}")


def _flag(key: str, value: object) -> str:
    """An option as it is typed."""
    if isinstance(value, dict):
        return " ".join(f"--option {name}={_words(item)}" for name, item in value.items())
    return f"--{key.replace('_', '-')} {_words(value)}"


def _print_config(config: RunConfig) -> None:
    """Print each option, section by section."""
    section = ""
    for name, value in config.options().items():
        if OPTIONS[name].section != section:
            section = OPTIONS[name].section
            print(section)
        print(f"  {name:20} {_words(value)}")


def _show_run(run: Run) -> None:
    print(f"{run.folder}")
    _print_config(run.config)
    task = task_of(run)
    if task == "own-masks":
        masks = read_mask_result(run.folder)
        print("\n" + (" ".join(run.explain_missing_result()) if masks is None else "\n".join(describe_masks(masks))))
        return
    result = run.evaluation()
    if result is None:
        print("\n" + " ".join(run.explain_missing_result()))
        return
    imported = run.imported()
    tests = {"best weights": result["test"], "last step": result["test_last"]}
    if imported is not None:
        tests = {f"imported from {imported.source}": result["test"]}
    for weights, split in tests.items():
        evaluation = Evaluation.from_dict(split)
        low, high = evaluation.error_interval
        print(
            f"\n{weights}: test error {evaluation.error_percent:.2f} % of {evaluation.n:,} ({low:.2f} to {high:.2f} %)",
            end="",
        )
    print()
    doubt = read_spec(run.weights_path).doubt if task is None and run.weights_path.is_file() else None
    if doubt is not None:
        print("\nunsure predictions")
        print(*doubt.describe(), sep="\n")
