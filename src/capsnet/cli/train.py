"""`capsnet train`."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from capsnet.cli.console import print_json
from capsnet.cli.parse import key_and_value, parse
from capsnet.data import DATASETS
from capsnet.errors import UserError
from capsnet.inference import Evaluation
from capsnet.recipes import RECIPES
from capsnet.runs import Run, RunConfig
from capsnet.runs.config import Option
from capsnet.runs.folder import locate_weights
from capsnet.runs.options import FREE_ON_RESUME, are_own_images
from capsnet.runs.transfer import configure_as
from capsnet.training import train


@dataclass(frozen=True)
class Train(RunConfig):
    """Train a network and test it once at the end.

    A recipe gives all options their values; options given change it. Each run is a folder of its own.

    Examples:
      capsnet train sabour2017-mnist --epochs 1
      capsnet train --data photos/ --image-size 48 --epochs 30 --out runs/photos
    """

    recipe: tyro.conf.Positional[str] = "quickstart"
    """The recipe to start from (capsnet list recipes); for images of your own own-images, where none is named."""
    model_options: Annotated[Mapping[str, Option], tyro.conf.Suppress] = dataclasses.field(default_factory=dict)
    option: tuple[str, ...] = ()
    """More arguments of the model, KEY=VALUE: --option routing_bias=true primary_scale=0.03125."""
    out: Path | None = None
    """The run's folder; default: a new one in runs/."""
    resume: Path | None = None
    """Go on with the run in this folder; --epochs or --steps may make it longer."""
    report: bool = False
    """Draw the figures and write report.html at the end."""
    tensorboard: bool = False
    """Write TensorBoard events too: numbers, reconstructions, configuration (extra: tensorboard)."""
    json: bool = False
    """Print one JSON object on standard output, and all else on standard error."""


def main(args: list[str]) -> None:
    """Train, then say how it went."""
    named = args[0] if args and args[0] in RECIPES else "quickstart"
    options = parse(Train, args, _defaults(RECIPES.get(named).config))
    recipe = options.recipe
    if "quickstart" not in args and recipe == "quickstart" and are_own_images(options.data):
        recipe = "own-images"
    if options.resume is not None:
        before = Run.open(options.resume).config
        config = _config(parse(Train, args, _defaults(before)))
        _check_resume(before, config, options)
    else:
        config = replace(_start(args, RECIPES.get(recipe).config, options.start_from), recipe=recipe)
    run = train(
        config,
        out=options.out,
        resume=options.resume,
        tensorboard=options.tensorboard,
    )
    if options.report:
        from capsnet.figures.report import write_report

        write_report(run, overwrite=options.resume is not None)
    if options.json:
        print_json(_summary(run))
    else:
        _print_result(run, options.report)


def _start(args: list[str], recipe: RunConfig, start_from: str | None) -> RunConfig:
    """The configuration of a new run; without --model, the network is that of the weights it starts from."""
    if start_from is None:
        return _config(parse(Train, args, _defaults(recipe)))
    same = configure_as(recipe, start_from)
    config = _config(parse(Train, args, _defaults(same)))
    if config.model != same.model:
        config = _config(parse(Train, args, _defaults(recipe)))
    return replace(config, start_from=locate_weights(start_from))


def _defaults(config: RunConfig) -> Train:
    return Train(**{item.name: getattr(config, item.name) for item in dataclasses.fields(RunConfig)})


def _config(options: Train) -> RunConfig:
    values = {item.name: getattr(options, item.name) for item in dataclasses.fields(RunConfig)}
    values["model_options"] = {
        **options.model_options,
        **dict(key_and_value("--option", word) for word in options.option),
    }
    return RunConfig(**values)


def _check_resume(before: RunConfig, after: RunConfig, options: Train) -> None:
    if options.out is not None:
        raise UserError("--out and --resume exclude each other: a resumed run stays in its folder")
    if before.data != after.data and (before.data in DATASETS or after.data in DATASETS):
        raise UserError(
            f"--data on --resume gives the new place of the run's own images: the run has {before.data!r}, got "
            f"{after.data!r}; start a new run"
        )
    for item in dataclasses.fields(RunConfig):
        old, new = getattr(before, item.name), getattr(after, item.name)
        if old != new and item.name not in FREE_ON_RESUME:
            flag = item.name.replace("_", "-")
            raise UserError(f"--{flag} cannot change on --resume: the run has {old!r}, got {new!r}; start a new run")


def _summary(run: Run) -> dict[str, object]:
    result = run.evaluation()
    assert result is not None
    return {
        "run": str(run.folder),
        "epochs": run.metrics()[-1]["epoch"],
        "validation": result.get("validation"),
        "test": result["test"],
        "images_per_second": result["images_per_second"],
        "seconds": result["seconds"],
    }


def _print_result(run: Run, reported: bool) -> None:
    result = run.evaluation()
    assert result is not None
    test = Evaluation.from_dict(result["test"])
    low, high = test.error_interval
    print(
        f"\ntest error {test.error_percent:.2f} % of {test.n:,} {test.noun} (95 % interval {low:.2f} to {high:.2f} %)"
    )
    if test.is_uneven:
        balanced, accuracy = (f"{100 * share:.2f} %" for share in (test.balanced_accuracy, test.accuracy))
        print(f"balanced accuracy {balanced}, accuracy {accuracy}: class sizes differ widely")
    level, validation = run.config.stop_at, result.get("validation")
    if validation is not None and validation["accuracy"] < level:
        print(f"--stop-at {level:g} was not reached: {validation['accuracy']:.4f} at best, whose weights are kept")
    print(f"trained {result['seconds']:.0f} s, {result['images_per_second']:,.0f} images/s; the run is in {run.folder}")
    recipe = RECIPES.get(run.config.recipe) if run.config.recipe in RECIPES else None
    # on other data or with another network, the source's number says nothing about this run
    if recipe and (run.config.data, run.config.model) == (recipe.config.data, recipe.config.model):
        print(f"its source reports: {recipe.reported} ({recipe.source})")
    if reported:
        print(f"report: {run.folder / 'report.html'}")
    else:
        print(f"next: capsnet report {run.folder}   capsnet predict {run.folder} IMAGE")
