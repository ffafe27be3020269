"""`capsnet show`."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro
from torch import nn

from capsnet.cli.console import value_words, wrapped
from capsnet.cli.describe import describe_options, describe_routing
from capsnet.cli.parse import parse
from capsnet.cli.show_run import show_epochs, show_run
from capsnet.data import DATASETS
from capsnet.errors import UserError
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
from capsnet.runs.built import as_built
from capsnet.runs.flags import flag_words
from capsnet.runs.pretrained import list_pretrained, model_card
from capsnet.runs.weights import count_parameters, on_meta
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
    given = {"--against": command.against is not None, "--epochs": command.epochs, "--options": command.options}
    one, other, *_ = [flag for flag, is_given in given.items() if is_given] + [None] * 2
    if other is not None:
        raise UserError(f"{one} and {other} exclude each other")
    if command.options and not Path(name).is_dir():
        raise UserError(f"--options needs the folder of a run, got {name}")
    if command.options:
        show_run(Run.open(Path(name)), every_option=True)
    elif command.epochs:
        show_epochs(Run.open(name), as_json=command.json)
    elif command.against is not None:
        test = compare_runs(Run.open(name), Run.open(command.against))
        print(*map(wrapped, test.describe(name, command.against)), sep="\n")
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
        _print_text(f"{name}: {DATASETS.get(name).summary}\nnumbers and pictures of its classes: capsnet data {name}")
    elif name in ROUTINGS:
        print(*describe_routing(name), sep="\n")
    elif Path(name).is_dir():
        show_run(Run.open(Path(name)), every_option=False)
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
    print(f"{'total':20} {count_parameters(model):>12,} parameters\n")
    print(*describe_options(MODELS.get(name)), sep="\n")


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
            line = f"  {key:20} {value_words(ours[key])}"
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


def _show_study(name: str) -> None:
    study = STUDIES.get(name)
    print(wrapped(f"study {name}: {study.summary}") + "\n")
    print(wrapped(study.source.replace("no paper: ", "none: "), "source    ", " " * 10) + "\n")
    width = max(len(row.label) for row in study.rows)
    for row in study.rows:
        print(f"  {row.label:{width}}  {f'reported: {row.reported}' if row.reported else ''}".rstrip())
        changes = [word for key, value in row.changes.items() for word in flag_words(key, value)]
        print(wrapped(shlex.join([row.recipe, *changes]), "      ", "        "))
    if study.together is not None:
        reported = f"reported: {study.together.reported}" if study.together.reported else ""
        print(f"  {study.together.label:{width}}  {reported}".rstrip())
    if study.stand_in is not None:
        print(f"  uses {study.stand_in.other} if the files of {study.stand_in.data} are missing")
    for budget, content in study.budgets.items():
        seeds = f"{content.seeds} seed{'' if content.seeds == 1 else 's'}"
        print("\n" + wrapped(f"{budget}: {seeds} per row; {content.summary}"))
        print(f"capsnet reproduce {name} --budget {budget}")
