"""A complete run, from its configuration to its test.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 3 to 5.
"""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from capsnet.data import Dataset, locate_data
from capsnet.disk_space import check_space
from capsnet.errors import UserError
from capsnet.inference.predictions import write_predictions
from capsnet.models import SEGMENTERS, SEQUENCE_MODELS, CapsuleModel
from capsnet.models.custom import as_capsule_model, class_of
from capsnet.precision import use_precision
from capsnet.runs.built import RECON_WEIGHT, as_built, as_planned
from capsnet.runs.checkpoint import check_resumable, has_checkpoint
from capsnet.runs.config import RunConfig, is_object, object_name
from capsnet.runs.data import compare_splits, load_dataset, split_training
from capsnet.runs.files import write_json
from capsnet.runs.folder import Run, RunResult, check_new, check_resumed, create_locked, new_folder
from capsnet.runs.lock import FolderLock
from capsnet.runs.options import check_same, describe_recipe, make_config, make_given_config, resume_config
from capsnet.runs.transfer import carry_over
from capsnet.runs.weights import ModelSpec, count_decoder, count_parameters, on_meta, save_weights
from capsnet.training.batches import Batches
from capsnet.training.callback import Callback, CallbackError, Callbacks
from capsnet.training.device import (
    check_memory,
    compare_kernels,
    describe_environment,
    describe_precision,
    place_model,
    resolve_device,
    resolve_precision,
    seed_everything,
)
from capsnet.training.distributed import (
    Processes,
    describe_batch_norm,
    is_first_process,
    join_processes,
    was_restarted,
)
from capsnet.training.features import share_features, with_features
from capsnet.training.finite import Diverged as Diverged
from capsnet.training.fixed_order import FixedOrder
from capsnet.training.loop import Job, space_needed
from capsnet.training.memory import describe_out_of_memory, is_out_of_memory
from capsnet.training.setup import augmentation, specify
from capsnet.training.stages import stage
from capsnet.training.task import find_task
from capsnet.training.tensorboard import TensorBoard


@dataclass(frozen=True)
class _Objects:
    """Model and data that the user passed as objects instead of names."""

    model: nn.Module | None = None
    dataset: Dataset | None = None


def train(
    recipe_or_config: str | RunConfig = "quickstart",
    *,
    model: str | nn.Module | None = None,
    data: str | Path | Dataset | None = None,
    start_from: str | Path | Run | None = None,
    out: Path | str | None = None,
    resume: Path | str | None = None,
    callbacks: Sequence[Callback] = (),
    tensorboard: bool = False,
    **options: object,
) -> Run:
    """Train a model and test it once at the end.

    Args:
        recipe_or_config: a recipe's name, or a configuration; for a folder or file of your own images, `"quickstart"`
            means `"own-images"`, or for few photos `"own-photos"` if its backbone's weights are on this machine. Also
            the name of a segmenter or of a sequence model, for a folder of images/ and masks/, of recordings, or a .ts
            file.
        model: a model's name; or an object, which is trained in place: a `CapsuleModel`, or any module whose output has
            class capsules and lengths (`CustomModel`).
        data: a data set's name, a folder or a file, or a `Dataset`.
        start_from: a run, a weights file, or the name of bundled weights: every tensor that fits is copied. Without
            `model`, the model of the weights is used.
        out: the run's folder; default: a new one in `runs/`.
        resume: continue the run in this folder. If it was given objects, pass them again. `torchrun --max-restarts`
            continues the run in `out` automatically.
        callbacks: for example for logging; they may end the run.
        tensorboard: also write TensorBoard events into the run's folder.
        options: command-line options by name: `epochs=1`, `lr=1e-3`.

    Returns:
        The run, with its evaluation.

    Raises:
        UserError: an error that the user can correct, such as another process that trains the run; nothing is lost.
        Diverged: the loss is not finite; the last good state is kept.
        CallbackError: a callback failed; the state is saved.
        KeyboardInterrupt: stopped by the user; the state is saved.

    Example:
        >>> run = train(data="digits", epochs=1)
        >>> run.evaluation()["test"]["accuracy"]
        >>> train(model=my_module, data=Dataset.from_arrays(images, labels), steps=1000)
    """
    if isinstance(recipe_or_config, str) and (recipe_or_config in SEGMENTERS or recipe_or_config in SEQUENCE_MODELS):
        if model is not None and model != recipe_or_config:
            raise UserError(f"two models are given, {recipe_or_config!r} and {model!r}; give one of them")
        recipe_or_config, model = "quickstart", recipe_or_config
    check_resumed(resume, out)
    if resume is None and out is not None and was_restarted() and (Path(out) / "config.json").exists():
        resume, out = out, None
    task = find_task(data, model, resume) if recipe_or_config == "quickstart" else None
    if task is not None:
        # imported late: it needs Pillow
        from capsnet.training.other_inputs import train_other

        # of these, only a name and a folder can be used; the others are refused by their names
        given = {
            "data": data,
            "model": model,
            "start_from": start_from,
            "callbacks": callbacks,
            "tensorboard": tensorboard,
        }
        return train_other(
            task, {**options, **{key: value for key, value in given.items() if value}}, out=out, resume=resume
        )
    objects = _Objects(None if isinstance(model, str) else model, data if isinstance(data, Dataset) else None)
    all_options = {**options, **_entries(model, data, start_from)}
    config = _configure(recipe_or_config, all_options, resume)
    _check_objects(config, objects)
    # store relative paths as absolute ones: a run may be resumed from another directory, or drawn there
    root = config.data.data_dir
    config = config.change(data=locate_data(config.data.name), data_dir=root and str(Path(root).absolute()))
    config = as_built(config)
    folder = Path(resume or out or new_folder(config.run.recipe))
    order = FixedOrder() if config.run.fixed_order else nullcontext()
    with join_processes(resolve_device(config.run.device)) as processes, order:
        if not processes.is_first:
            return _train(Run(folder, config), Callbacks([], folder), objects, processes, resumed=resume is not None)
        listeners = Callbacks(callbacks, folder)
        if tensorboard:
            listeners = Callbacks([*callbacks, TensorBoard()], folder)
        if resume is not None:
            _refuse_imported(Run(folder, config))
            with FolderLock(folder):
                check_resumable(folder)
                return _train(Run(folder, config), listeners, objects, processes, resumed=True)
        check_new(folder)
        return _train(Run(folder, config), listeners, objects, processes, numbered=out is None)


def _configure(recipe_or_config: str | RunConfig, options: dict[str, object], resume: Path | str | None) -> RunConfig:
    """The configuration of a new or a resumed run.

    Raises:
        UserError: an unknown recipe or option, an option without an effect, or a resumed run with other settings.
    """
    if resume is None:
        return make_given_config(recipe_or_config, options)
    before = Run.open(resume).config
    if isinstance(recipe_or_config, RunConfig):
        config = make_config(recipe_or_config, options)
        check_same(before, config)
        return config
    if recipe_or_config not in ("quickstart", before.run.recipe):
        raise UserError(
            f"the run in {resume} began with the recipe {before.run.recipe}, got {recipe_or_config}; leave the recipe "
            "out, or start a new run"
        )
    return resume_config(before, options)


def _refuse_imported(run: Run) -> None:
    """Refuse to resume a run that was not trained here.

    Raises:
        UserError: the run was imported.
    """
    if run.imported() is not None:
        raise UserError(
            f"{run.folder} was imported, not trained here, so there is nothing to resume; train a new run from its "
            f"weights: start_from={run.folder}"
        )


def _entries(
    model: str | nn.Module | None, data: str | Path | Dataset | None, start_from: str | Path | Run | None
) -> dict[str, object]:
    """The arguments of `train` as entries of a configuration.

    Raises:
        UserError: an argument of another type.
    """
    if data is not None and not isinstance(data, str | Path | Dataset):
        got = f"{type(data).__name__}; make one with Dataset.from_arrays or Dataset.from_torch"
        raise UserError(f"data must be a name, a folder, a file or a capsnet.Dataset, got {got}")
    if start_from is not None and not isinstance(start_from, str | Path | Run):
        raise UserError(f"start_from must be a run, a folder, a file or a name, got {type(start_from).__name__}")
    entries: dict[str, object] = {}
    if model is not None:
        entries["model"] = model if isinstance(model, str) else object_name(class_of(model))
    if data is not None:
        entries["data"] = object_name(data.name) if isinstance(data, Dataset) else str(data)
    if start_from is not None:
        entries["start_from"] = str(start_from.folder if isinstance(start_from, Run) else start_from)
    return entries


def _check_objects(config: RunConfig, objects: _Objects) -> None:
    """Refuse a configuration whose model or data were an object, if that object is missing."""
    if is_object(config.model.name) and objects.model is None:
        raise UserError(f"the run's model ({config.model.name}) is an object, which no file holds; pass it: model=...")
    if is_object(config.data.name) and objects.dataset is None:
        raise UserError(f"the run's data ({config.data.name}) are an object, which no file holds; pass them: data=...")


def _build(config: RunConfig, objects: _Objects, spec: ModelSpec, images: int, restored: bool) -> CapsuleModel:
    """The model of a run, on the CPU: the user's object or a new model, with its initial weights."""
    assert spec.inputs is not None
    if objects.model is not None:
        model = spec.describe(as_capsule_model(objects.model, spec.inputs.shape, len(spec.class_names)))
    else:
        with on_meta():
            device = resolve_device(config.run.device)
            check_memory(spec.build(), images, device, resolve_precision(config.run.precision, device))
        seed_everything(config.run.seed)
        model = spec.build()
    # the checkpoint of a resumed run holds all weights
    if config.model.start_from is not None and not restored:
        note = carry_over(model, config.model.start_from)
        if is_first_process():
            print(f"capsnet: {note}", file=sys.stderr)
    return model


def _train(
    run: Run,
    listeners: Callbacks,
    objects: _Objects,
    processes: Processes,
    *,
    resumed: bool = False,
    numbered: bool = False,
) -> Run:
    """Train a resumed run, whose lock is held, or a new one, whose folder is created when everything is ready."""
    config = run.config
    device = resolve_device(config.run.device)
    precision = resolve_precision(config.run.precision, device)
    with processes.first_of_machine():
        dataset = load_dataset(config, objects.dataset)
    # the pixel range is decided once: it stays when a run is resumed and its folder has changed
    config = config.change(pixel_range=dataset.pixel_range or config.data.pixel_range)
    training, validation = split_training(config, dataset)
    spec = specify(config, dataset)
    images = -(-min(config.optimizer.batch_size, len(training)) // (processes.count * config.optimizer.accumulate))
    # a run without a checkpoint starts from the beginning
    model = _build(config, objects, spec, images, resumed and has_checkpoint(run.folder))
    if objects.model is not None:
        weight = RECON_WEIGHT if config.optimizer.recon_weight is None else config.optimizer.recon_weight
        config = config.change(recon_weight=weight if model.has_decoder else 0.0)
    model = place_model(model, device)
    assert spec.inputs is not None
    transforms = augmentation(config.augmentation)
    parts = [training] if validation is None else [training, validation]
    (training, *held), feature_notes = share_features(model, parts, transforms, config, processes)
    validation = held[0] if held else None
    batches = Batches(training.to(device), spec.inputs, transforms, spec.pairing, balance=config.data.balance)
    config = as_planned(config, len(batches), precision)
    run, lock = _open_folder(run, config, processes, model, precision, resumed=resumed, numbered=numbered)
    listeners.folder = run.folder
    try:
        if processes.is_first:
            kernel_notes = compare_kernels(run.environment(), device, config.run.fixed_order)
            notes = (*dataset.notes, *compare_splits(run, dataset, validation), *kernel_notes)
            _print_notes(config, model, processes, precision, (*notes, *feature_notes))
        job = Job(run, spec, model, batches, validation, device, precision, listeners, processes)
        if resumed:
            job.restore()
            # all processes read the checkpoint before the first one replaces it
            processes.wait()
        with use_precision(precision, device):
            job.train()
        if processes.is_first:
            _test(job, dataset)
        processes.wait()
    except BaseException as fault:
        _end_after_failure(listeners, fault)
        if is_out_of_memory(fault):
            raise UserError(describe_out_of_memory(run.folder, images, config.optimizer.accumulate)) from None
        raise
    finally:
        if lock is not None:
            lock.release()
    listeners.end(run.evaluation())
    return run


def _print_notes(
    config: RunConfig, model: CapsuleModel, processes: Processes, precision: str, notes: Sequence[str]
) -> None:
    """Print what a person should know of a run before it starts, on standard error."""
    computing = describe_batch_norm(model, processes, config.optimizer.accumulate)
    precisions = describe_precision(precision, model.device)
    for note in (*describe_recipe(config), *notes, *computing, *precisions):
        print(f"capsnet: {note}", file=sys.stderr)


def _open_folder(
    run: Run,
    config: RunConfig,
    processes: Processes,
    model: CapsuleModel,
    precision: str,
    *,
    resumed: bool,
    numbered: bool,
) -> tuple[Run, FolderLock | None]:
    """The run in its folder, which the first process creates for all, and the lock of a new folder."""
    if resumed:
        return Run(run.folder, config), None
    if not processes.is_first:
        return Run(Path(processes.share_text("")), config), None
    check_space(run.folder, space_needed(model, config), "give another `out`")
    environment = {**describe_environment(model.device, precision), "processes": processes.count}
    run, lock = create_locked(run.folder, config, environment, numbered=numbered)
    processes.share_text(str(run.folder))
    return run, lock


def _end_after_failure(callbacks: Callbacks, fault: BaseException) -> None:
    """Call the callbacks after a failure, without hiding it."""
    try:
        callbacks.end(None)
    except CallbackError as second:
        fault.add_note(str(second))


def _test(job: Job, dataset: Dataset) -> None:
    """Evaluate on the test split, once, in float32: the best weights on validation, and the last ones."""
    if not job.trained and job.run.evaluation() is not None:
        print(f"capsnet: {job.run.folder} was trained to its end; its result:", file=sys.stderr)
        return
    with use_precision("fp32", job.device), stage(f"testing on {len(dataset.test):,} images", log=True):
        _write_test(job, dataset)


def _write_test(job: Job, dataset: Dataset) -> None:
    test = dataset.test if job.batches.data.features is None else with_features(job.model, [dataset.test])[0]
    last = job.evaluate(job.model, test, "test")
    best, best_model = last, job.model
    if job.state.best_step != job.state.step:
        # an object is trained in place: load the best weights into a copy
        copy = deepcopy(job.model) if is_object(job.config.model.name) else None
        best_model = job.run.load_model(copy).to(job.device)
        best = job.evaluate(best_model, test, "test")
    for evaluation in (best, last):
        job.finite.evaluation(evaluation.margin_loss, "test", job.state.step)
    _measure_doubt(job, best_model)
    result: RunResult = {
        "test": best.to_record(),
        "test_last": last.to_record(),
        "best_step": job.state.best_step,
        "step": job.state.step,
        "parameters": count_parameters(job.model),
        "decoder_parameters": count_decoder(job.model),
        "seconds": job.state.seconds,
        "images_per_second": job.state.images / max(job.state.seconds, 1e-9),
    }
    if job.validation is not None:
        result["validation"] = {
            "n": len(job.validation),
            "accuracy": job.state.best_accuracy,
            "margin_loss": job.state.best_loss,
        }
    if best.predictions is not None and last.predictions is not None:
        write_predictions(job.run.folder, best.predictions, last.predictions)
    write_json(job.run.folder / "evaluation.json", result)


def _measure_doubt(job: Job, best_model: CapsuleModel) -> None:
    """Measure the limits of unsure predictions on the validation images, and store them with the best weights."""
    if job.validation is None or job.spec.pairing is not None:
        return
    # imported late: it needs scipy
    from capsnet.inference.doubt import calibrate_doubt

    doubt = calibrate_doubt(best_model.eval(), job.validation)
    if doubt is not None:
        save_weights(job.run.weights_path, best_model, replace(job.spec, doubt=doubt))
