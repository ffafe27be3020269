"""`capsnet show`."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

import tyro

from capsnet.cli.parse import parse
from capsnet.data import DATASETS
from capsnet.errors import UserError
from capsnet.inference import Evaluation
from capsnet.models import MODELS, create_model
from capsnet.models.factory import model_routing
from capsnet.recipes import RECIPES
from capsnet.registry import did_you_mean
from capsnet.routing import ROUTINGS
from capsnet.runs import Run, RunConfig
from capsnet.runs.built import as_built
from capsnet.runs.pretrained import list_pretrained, model_card
from capsnet.runs.weights import count_parameters, on_meta, read_spec
from capsnet.studies import STUDIES, compare_runs


@dataclass(frozen=True)
class Show:
    """Show a model, recipe, study, data set, routing or run.

    Examples:
      capsnet show sabour2017-mnist
      capsnet show runs/quickstart
      capsnet show runs/r3 --against runs/r1
    """

    name: tyro.conf.Positional[str]
    """A name from capsnet list, or a run folder."""
    against: str | None = None
    """Another run of the same test images: McNemar's exact test of the two runs' predictions."""


def main(args: list[str]) -> None:
    """Find out what the name is and print it."""
    command = parse(Show, args)
    name = command.name
    if command.against is not None:
        test = compare_runs(Run.open(name), Run.open(command.against))
        print(*test.describe(name, command.against), sep="\n")
    elif name in MODELS:
        _show_model(name)
    elif name in RECIPES or name in STUDIES:
        # a study may have the name of the recipe that it trains
        if name in RECIPES:
            _show_recipe(name)
        if name in STUDIES:
            _show_study(name)
    elif name in DATASETS:
        print(f"{name}: {DATASETS.get(name).summary}\ncapsnet data {name} counts and shows its images")
    elif name in ROUTINGS:
        print(cleandoc(ROUTINGS.get(name).__doc__ or name))
    elif Path(name).is_dir():
        _show_run(Run.open(Path(name)))
    elif name in list_pretrained():
        print(model_card(name).rstrip())
    else:
        known = [*MODELS, *RECIPES, *STUDIES, *DATASETS, *ROUTINGS, *list_pretrained()]
        raise UserError(f"unknown name {name!r};{did_you_mean(name, known)} See capsnet list, or name a run folder")


def _show_model(name: str) -> None:
    with on_meta():
        model = create_model(name)
    print(f"{name}: {MODELS.get(name).summary}\n\n{model}\n")
    for part, module in model.named_children():
        print(f"{part:20} {count_parameters(module):>12,} parameters")
    routing, iterations = model_routing(name)
    print(f"{'routing':20} {routing or 'none'}{f', {iterations} iterations' if iterations else ''}")
    print(f"{'total':20} {count_parameters(model):>12,} parameters")


def _show_recipe(name: str) -> None:
    recipe = RECIPES.get(name)
    print(f"{name}: {recipe.summary}\n")
    print(f"source    {recipe.source}\nreported  {recipe.reported}\ndiffers   {recipe.differs}\n")
    _print_config(as_built(recipe.config), recipe.settings)
    print(f"\ncapsnet train {name}")


def _show_study(name: str) -> None:
    study = STUDIES.get(name)
    print(f"\nstudy {name}: {study.summary}\nsource    {study.source}\n")
    width = max(len(row.label) for row in study.rows)
    for row in study.rows:
        changes = ", ".join(f"{key} {value}" for key, value in row.changes.items())
        reported = f"   paper: {row.reported}" if row.reported else ""
        print(f"  {row.label:{width}}  {row.recipe}{', ' if changes else ''}{changes}{reported}")
    if study.together is not None:
        reported = f"   paper: {study.together.reported}" if study.together.reported else ""
        print(f"  {study.together.label}{reported}")
    if study.stand_in is not None:
        print(f"  on {study.stand_in.other} where the files of {study.stand_in.data} are not at hand")
    for budget, content in study.budgets.items():
        print(f"\n{budget}: {content.seeds} seeds a row; {content.summary}")
        print(f"capsnet reproduce {name} --budget {budget}")


def _print_config(config: RunConfig, origins: Mapping[str, str] | None = None) -> None:
    """Print each option, and where it comes from if that is known."""
    for item in dataclasses.fields(config):
        line = f"  {item.name:16} {getattr(config, item.name)}"
        print(f"{line:44}  {origins[item.name]}" if origins and item.name in origins else line)


def _show_run(run: Run) -> None:
    print(f"{run.folder}")
    _print_config(run.config)
    result = run.evaluation()
    if result is None:
        print("\n" + " ".join(run.explain_missing_result()))
        return
    for split in ("test", "test_last"):
        part = Evaluation.from_dict(result[split])
        low, high = part.error_interval
        weights = "best weights" if split == "test" else "last step"
        print(f"\n{weights}: test error {part.error_percent:.2f} % of {part.n:,} ({low:.2f} to {high:.2f} %)", end="")
    print()
    doubt = read_spec(run.weights_path).doubt if run.weights_path.is_file() else None
    if doubt is not None:
        print("\nunsure answers")
        print(*doubt.describe(), sep="\n")
