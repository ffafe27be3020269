"""`capsnet train`."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from capsnet.cli.console import print_json, wrapped
from capsnet.cli.parse import parse
from capsnet.cli.scan import scan
from capsnet.cli.sections import ConfigFlags, flags_of, given_options
from capsnet.cli.show_run import print_changes
from capsnet.data.input_kind import find_input_kind
from capsnet.errors import UserError
from capsnet.inference import Evaluation
from capsnet.models import SEGMENTERS, SEQUENCE_MODELS
from capsnet.recipes import RECIPES
from capsnet.runs import Run, RunConfig
from capsnet.runs.flags import flag_of
from capsnet.runs.folder import locate_weights
from capsnet.runs.given import apply_given, note_length
from capsnet.runs.options import FREE_ON_RESUME, are_own_images, own_recipe
from capsnet.runs.results import MaskRunResult, RunResult, describe_masks, read_mask_result
from capsnet.runs.transfer import configure_as
from capsnet.training import train
from capsnet.training.distributed import is_first_process
from capsnet.training.other_inputs import train_other
from capsnet.training.task import Task, find_task


@dataclass(frozen=True)
class Train(ConfigFlags):
    """Train a network and test it once at the end.

    The recipe sets the defaults of all options. Each run writes a new folder.

    In place of a recipe, the name of a segmenter trains on a folder of images/ and masks/, that of a sequence model on
    WAV files in class folders or on a .ts file (capsnet list segmenters, capsnet list sequence-models).

    Examples:
      capsnet train sabour2017-mnist --epochs 1
      capsnet train segcaps-small --data scans/ --epochs 30
      capsnet train --data photos/ --image-size 48 --epochs 30 --out runs/photos
    """

    out: Path | None = None
    """The run's folder; default: a new one in runs/."""
    resume: Path | None = None
    """Resume the run in this folder; --epochs or --steps can extend it."""
    report: bool = False
    """Draw the figures and write report.html at the end."""
    tensorboard: bool = False
    """Also write TensorBoard events: metrics, reconstructions, configuration (extra: tensorboard)."""
    json: bool = False
    """Print one JSON object on standard output, and everything else on standard error."""


def main(args: list[str]) -> None:
    """Train, then print the results."""
    args = _name_model(args)
    given = scan(args, Train)
    named = next((args[position] for position in given.positions), None)
    base = RECIPES.get(named or "quickstart").config
    if {"--help", "-h"} & {*args}:
        parse(Train, args, flags_of(Train, base))
    data, resume = given.last("data") or base.data.name, given.last("resume")
    task = find_task(data, given.last("model"), None if resume is None else Path(resume))
    if task is not None:
        _train_other(task, args)
        return
    if resume is not None:
        before = Run.open(Path(resume)).config
        options, config = _parse_config(args, before)
        _check_resume(before, config, options)
        note_length({name: config.options()[name] for name in given_options(args)})
    else:
        recipe = named or "quickstart"
        if named is None and are_own_images(data):
            recipe = own_recipe(data, given_options(args))
        options, config = _start(args, RECIPES.get(recipe).config, given.last("start_from"))
        config = apply_given(config.change(recipe=recipe), given_options(args))
    run = train(
        config,
        out=options.out,
        resume=options.resume,
        tensorboard=options.tensorboard,
    )
    if not is_first_process():
        return
    if options.report:
        from capsnet.figures.report import write_report

        write_report(run, overwrite=options.resume is not None)
    if options.json:
        result = run.evaluation()
        assert result is not None
        print_json(_summary(run, result))
    else:
        _print_result(run, options.report)


def _name_model(args: list[str]) -> list[str]:
    """`MODEL ...` as `--model MODEL ...`, for the name of a segmenter or of a sequence model.

    Raises:
        UserError: there is a `--model`, too.
    """
    given = scan(args, Train)
    for position in given.positions[:1]:
        word = args[position]
        if word in SEGMENTERS or word in SEQUENCE_MODELS:
            if "model" in given.values:
                other = given.last("model")
                raise UserError(f"two models are given: {word} and --model {other}; leave one of them out")
            return [*args[:position], "--model", *args[position:]]
    return args


def _train_other(task: Task, args: list[str]) -> None:
    """Train on masks or sequences, and print the results."""
    options = parse(Train, args, flags_of(Train, RECIPES.get("quickstart").config))
    if options.recipe is not None:
        raise UserError(f"the recipe {options.recipe} is for images with one class; leave it out")
    if options.tensorboard:
        raise UserError("tensorboard must be left out: it is for networks that classify images")
    values = options.config().options()
    given = {name: values[name] for name in given_options(args)}
    run = train_other(task, given, out=options.out, resume=options.resume)
    if options.report:
        from capsnet.figures.report import write_report

        write_report(run, overwrite=options.resume is not None)
    if task == "own-masks":
        masks = read_mask_result(run.folder)
        assert masks is not None
        _print_other(run, masks, describe_masks(masks), "IMAGE --out masks", options)
    else:
        sequences = run.evaluation()
        assert sequences is not None
        test = Evaluation.from_dict(sequences["test"])
        low, high = test.error_interval
        lines = [
            f"test error {test.error_percent:.2f} % of {test.n:,} {test.noun} (95 % interval {low:.2f} to {high:.2f} %)"
        ]
        # series are no files that predict reads
        following = "" if find_input_kind(run.config.data.name) == "series" else "RECORDING.wav"
        _print_other(run, sequences, lines, following, options)


def _print_other(run: Run, result: RunResult | MaskRunResult, lines: list[str], following: str, options: Train) -> None:
    if options.json:
        print_json(_summary(run, result))
        return
    print("\n" + "\n".join(lines))
    print(f"trained {result['seconds']:.0f} s; the run is in {run.folder}")
    folder = shlex.quote(str(run.folder))
    predict = f"   capsnet predict {folder} {following}" if following else ""
    if options.report:
        print(f"report: {run.folder / 'report.html'}")
    else:
        print(f"next: capsnet report {folder}{predict}")


def _parse_config(args: list[str], start: RunConfig) -> tuple[Train, RunConfig]:
    options, given = parse(Train, args, flags_of(Train, start)), given_options(args)
    config = options.config()
    epochs = config.optimizer.epochs
    is_length = "epochs" in given and "steps" not in given and epochs
    return options, config.change(epochs=epochs) if is_length else config


def _start(args: list[str], recipe: RunConfig, start_from: str | None) -> tuple[Train, RunConfig]:
    """The configuration of a new run; without --model, the model of its initial weights is used."""
    if start_from is None:
        return _parse_config(args, recipe)
    with_weights = configure_as(recipe, start_from)
    options, config = _parse_config(args, with_weights)
    if config.model.name != with_weights.model.name:
        options, config = _parse_config(args, recipe)
    return options, config.change(start_from=locate_weights(start_from))


def _check_resume(before: RunConfig, after: RunConfig, options: Train) -> None:
    if options.out is not None:
        raise UserError("--out and --resume exclude each other: a resumed run stays in its folder")
    later = after.options()
    for name, old in before.options().items():
        new = later[name]
        if old != new and name not in FREE_ON_RESUME:
            shown = "the recipe" if name == "recipe" else flag_of(name)
            raise UserError(f"{shown} cannot change on --resume: the run has {old!r}, got {new!r}; start a new run")


def _summary(run: Run, result: RunResult | MaskRunResult) -> dict[str, object]:
    return {
        "run": str(run.folder),
        "epochs": run.metrics()[-1]["epoch"],
        "validation": result.get("validation"),
        "test": result["test"],
        "images_per_second": result["images_per_second"],
        "seconds": result["seconds"],
    }


def _print_result(run: Run, has_report: bool) -> None:
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
    target, validation = run.config.optimizer.stop_at, result.get("validation")
    if target is not None and validation is not None and validation["accuracy"] < target:
        print(f"--stop-at {target:g} was not reached; the best validation accuracy is {validation['accuracy']:.4f}")
    print(f"trained {result['seconds']:.0f} s, {result['images_per_second']:,.0f} images/s; the run is in {run.folder}")
    recipe = RECIPES.get(run.config.run.recipe) if run.config.run.recipe in RECIPES else None
    if recipe and recipe.is_of(run.config):
        print(wrapped(f"reported for the recipe {run.config.run.recipe}: {recipe.reported} ({recipe.source})"))
        print_changes(run.config)
    if has_report:
        print(f"report: {run.folder / 'report.html'}")
    else:
        folder = shlex.quote(str(run.folder))
        print("next:", f"  capsnet report {folder}", f"  capsnet predict {folder} IMAGE", sep="\n")
