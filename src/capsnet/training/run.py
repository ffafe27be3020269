"""A whole run: from its configuration to its test.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 3 to 5.
"""

import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from capsnet.data import Dataset, locate_data
from capsnet.errors import UserError
from capsnet.inference.predictions import write_predictions
from capsnet.models import CapsuleModel
from capsnet.models.custom import as_capsule_model, class_of
from capsnet.runs.built import RECON_WEIGHT, as_built, as_planned
from capsnet.runs.checkpoint import has_checkpoint
from capsnet.runs.config import RunConfig, is_object, object_name
from capsnet.runs.data import compare_splits, load_dataset, split_training
from capsnet.runs.files import check_space, write_json
from capsnet.runs.folder import Run, RunResult, check_new, create_locked, new_folder
from capsnet.runs.lock import FolderLock
from capsnet.runs.options import make_config, resume_config
from capsnet.runs.transfer import carry_over
from capsnet.runs.weights import ModelSpec, count_decoder, count_parameters, on_meta, save_weights
from capsnet.training.batches import Batches
from capsnet.training.callback import Callback, CallbackError, Callbacks
from capsnet.training.device import (
    check_memory,
    describe_environment,
    describe_precision,
    place_model,
    resolve_device,
    resolve_precision,
    seed_everything,
    use_precision,
)
from capsnet.training.distributed import (
    Processes,
    describe_batch_norm,
    is_first_process,
    join_processes,
    was_restarted,
)
from capsnet.training.finite import Diverged as Diverged
from capsnet.training.loop import Job, space_needed
from capsnet.training.memory import is_out_of_memory
from capsnet.training.setup import augmentation, specify
from capsnet.training.stages import stage
from capsnet.training.tensorboard import TensorBoard


@dataclass(frozen=True)
class _Objects:
    """What the user gave as objects in place of names."""

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
        recipe_or_config: a recipe's name (for a folder or file of one's own images `"quickstart"` stands for
            `"own-images"`), or a configuration.
        model: a model's name; or an object, which is trained itself: a `CapsuleModel`, or any module whose output has
            class capsules and lengths (`CustomModel`).
        data: a data set's name, a folder or a file, or a `Dataset`.
        start_from: a run, a weights file, or the name of weights that come with the package: every tensor that fits is
            carried over. Without `model`, the network is that of the weights.
        out: the run's folder; the default is a new one in `runs/`.
        resume: go on with the run in this folder, in place of a new one. Objects that it was given, it needs again.
            `torchrun --max-restarts` goes on with the run in `out` by itself.
        callbacks: are told how it goes, and may end it; the user's own logging.
        tensorboard: write TensorBoard events too, into the run's folder.
        options: those of the command line by their names: `epochs=1`, `lr=1e-3`.

    Returns:
        The run, with its evaluation.

    Raises:
        UserError: something that the user can mend, such as another process at work on the run; nothing is lost.
        Diverged: the loss is not finite any more; the last good state is kept.
        CallbackError: a callback failed; the state is saved.
        KeyboardInterrupt: stopped by the user; the state is saved.

    Example:
        >>> run = train(data="digits", epochs=1)
        >>> run.evaluation()["test"]["accuracy"]
        >>> train(model=my_module, data=Dataset.from_arrays(images, labels), steps=1000)
    """
    objects = _Objects(None if isinstance(model, str) else model, data if isinstance(data, Dataset) else None)
    given = {**options, **_entries(model, data, start_from)}
    if resume is None and out is not None and was_restarted() and (Path(out) / "config.json").exists():
        resume, out = out, None
    if resume is None or isinstance(recipe_or_config, RunConfig):
        config = make_config(recipe_or_config, given)
    else:
        config = resume_config(Run.open(resume).config, given)
    _check_objects(config, objects)
    # a folder given relative to this directory is the run's data from any other, too
    config = as_built(config.change(data=locate_data(config.data.name)))
    folder = Path(resume or out or new_folder(config.run.recipe))
    with join_processes(resolve_device(config.run.device)) as processes:
        if not processes.is_first:
            return _train(Run(folder, config), Callbacks([], folder), objects, processes, resumed=resume is not None)
        followers = Callbacks([*callbacks, TensorBoard()] if tensorboard else callbacks, folder)
        if resume is not None:
            _refuse_imported(Run(folder, config))
            with FolderLock(folder):
                return _train(Run(folder, config), followers, objects, processes, resumed=True)
        check_new(folder)
        return _train(Run(folder, config), followers, objects, processes, numbered=out is None)


def _refuse_imported(run: Run) -> None:
    """Refuse to go on with a run that was not trained here.

    Raises:
        UserError: the remedy is in the message.
    """
    if run.imported() is not None:
        raise UserError(
            f"{run.folder} was imported, not trained here, so there is nothing to resume; train a new run from its "
            f"weights: start_from={run.folder}"
        )


def _entries(
    model: str | nn.Module | None, data: str | Path | Dataset | None, start_from: str | Path | Run | None
) -> dict[str, object]:
    """What a configuration holds of the arguments that were given."""
    entries: dict[str, object] = {}
    if model is not None:
        entries["model"] = model if isinstance(model, str) else object_name(class_of(model))
    if data is not None:
        entries["data"] = object_name(data.name) if isinstance(data, Dataset) else str(data)
    if start_from is not None:
        entries["start_from"] = str(start_from.folder if isinstance(start_from, Run) else start_from)
    return entries


def _check_objects(config: RunConfig, objects: _Objects) -> None:
    """Refuse a configuration whose model or data were an object that is not given."""
    if is_object(config.model.name) and objects.model is None:
        raise UserError(f"the run's model ({config.model.name}) is an object, which no file holds; give it: model=...")
    if is_object(config.data.name) and objects.dataset is None:
        raise UserError(f"the run's data ({config.data.name}) are an object, which no file holds; give them: data=...")


def _build(config: RunConfig, objects: _Objects, spec: ModelSpec, together: int, restored: bool) -> CapsuleModel:
    """The model of a run, on the CPU: the one that was given, or a new one, with the weights it starts from."""
    assert spec.inputs is not None
    if objects.model is not None:
        model = spec.describe(as_capsule_model(objects.model, spec.inputs.shape, len(spec.class_names)))
    else:
        with on_meta():
            device = resolve_device(config.run.device)
            check_memory(spec.build(), together, device, resolve_precision(config.run.precision, device))
        seed_everything(config.run.seed)
        model = spec.build()
    # the state of a run that goes on holds all weights
    if config.model.start_from is not None and not restored:
        note = carry_over(model, config.model.start_from)
        if is_first_process():
            print(f"capsnet: {note}", file=sys.stderr)
    return model


def _train(
    run: Run,
    followers: Callbacks,
    objects: _Objects,
    processes: Processes,
    *,
    resumed: bool = False,
    numbered: bool = False,
) -> Run:
    """Train a run: a resumed one, whose lock is held, or a new one, whose folder is made when all is ready."""
    config = run.config
    device = resolve_device(config.run.device)
    precision = resolve_precision(config.run.precision, device)
    with processes.first_of_machine():
        dataset = load_dataset(config, objects.dataset)
    # the range of a run is decided once: it stays when the run goes on and the folder has changed
    config = config.change(pixel_range=dataset.pixel_range or config.data.pixel_range)
    training, validation = split_training(config, dataset)
    spec = specify(config, dataset)
    # a run that was killed before its first checkpoint starts anew
    together = -(-min(config.optimizer.batch_size, len(training)) // (processes.count * config.optimizer.accumulate))
    model = _build(config, objects, spec, together, resumed and has_checkpoint(run.folder))
    if objects.model is not None:
        weight = RECON_WEIGHT if config.optimizer.recon_weight is None else config.optimizer.recon_weight
        config = config.change(recon_weight=weight if model.has_decoder else 0.0)
    model = place_model(model, device)
    assert spec.inputs is not None
    varied = augmentation(config.augmentation)
    batches = Batches(training.to(device), spec.inputs, varied, spec.pairing, balance=config.data.balance)
    config = as_planned(config, len(batches), precision)
    run, lock = _open_folder(run, config, processes, model, precision, resumed=resumed, numbered=numbered)
    followers.folder = run.folder
    try:
        if processes.is_first:
            splits = compare_splits(run, dataset, validation)
            parts = describe_batch_norm(model, processes, config.optimizer.accumulate)
            for note in (*dataset.notes, *splits, *parts, *describe_precision(precision, device)):
                print(f"capsnet: {note}", file=sys.stderr)
        job = Job(run, spec, model, batches, validation, device, precision, followers, processes)
        if resumed:
            job.restore()
            # all have read the checkpoint before the first one writes another
            processes.wait()
        with use_precision(precision, device):
            job.train()
        if processes.is_first and (job.trained or run.evaluation() is None):
            with use_precision("fp32", device), stage(f"testing on {len(dataset.test):,} images", log=True):
                _test(job, dataset)
        processes.wait()
    except BaseException as fault:
        _end_badly(followers, fault)
        if is_out_of_memory(fault):
            raise UserError(_out_of_memory(run, together)) from None
        raise
    finally:
        if lock is not None:
            lock.release()
    followers.end(run.evaluation())
    return run


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
    """The run in its folder, which the first process makes for all, and its lock where it is new."""
    if resumed:
        return Run(run.folder, config), None
    if not processes.is_first:
        return Run(Path(processes.share_text("")), config), None
    check_space(run.folder, space_needed(model, config))
    environment = {**describe_environment(model.device, precision), "processes": processes.count}
    run, lock = create_locked(run.folder, config, environment, numbered=numbered)
    processes.share_text(str(run.folder))
    return run, lock


def _out_of_memory(run: Run, together: int) -> str:
    """What to do about a step that took more memory than there was."""
    half, parts = max(together // 2, 1), 2 * run.config.optimizer.accumulate
    remedy = f"use accumulate={parts}, which computes a batch in parts of {half}, or a batch_size of {half}"
    if together == 1:
        remedy = "use smaller images (image_size)"
    return f"{run.folder}: out of memory with {together} images at a time; {remedy} (what was saved before is whole)"


def _end_badly(callbacks: Callbacks, fault: BaseException) -> None:
    """Tell the callbacks that the run is over, without hiding why."""
    try:
        callbacks.end(None)
    except CallbackError as second:
        fault.add_note(str(second))


def _test(job: Job, dataset: Dataset) -> None:
    """Look at the test split, once: with the weights that validation chose, and with the last."""
    last = job.evaluate(job.model, dataset.test, "test")
    best, best_model = last, job.model
    if job.state.best_step != job.state.step:
        # an object is trained itself: the best weights go into a copy of it
        copy = deepcopy(job.model) if is_object(job.config.model.name) else None
        best_model = job.run.load_model(copy).to(job.device)
        best = job.evaluate(best_model, dataset.test, "test")
    for part in (best, last):
        job.finite.evaluation(part.margin_loss, "test", job.state.step)
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
    """Store with the best weights when an answer is unsure, measured on the validation images."""
    if job.validation is None or job.spec.pairing is not None:
        return
    # loaded here: it looks for pieces of ink with scipy
    from capsnet.inference.doubt import calibrate_doubt

    doubt = calibrate_doubt(best_model.eval(), job.validation)
    if doubt is not None:
        save_weights(job.run.weights_path, best_model, replace(job.spec, doubt=doubt))
