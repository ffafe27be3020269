"""A whole run: from its configuration to its test.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 3 to 5.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from capsnet.data import Dataset, locate_data
from capsnet.models import CapsuleModel
from capsnet.runs.built import as_built
from capsnet.runs.config import RunConfig
from capsnet.runs.data import compare_splits, load_dataset, split_training
from capsnet.runs.files import check_space, write_json
from capsnet.runs.folder import Run, RunResult, check_new, create_locked, new_folder
from capsnet.runs.lock import FolderLock
from capsnet.runs.weights import count_parameters, on_meta, save_weights
from capsnet.training.batches import Batches
from capsnet.training.callback import Callback, CallbackError, Callbacks
from capsnet.training.device import (
    check_memory,
    describe_environment,
    place_model,
    resolve_device,
    resolve_precision,
    seed_everything,
)
from capsnet.training.finite import Diverged as Diverged
from capsnet.training.loop import Job, space_needed
from capsnet.training.setup import augmentation, specify
from capsnet.training.tensorboard import TensorBoard


def train(
    config: RunConfig,
    *,
    out: Path | str | None = None,
    resume: Path | str | None = None,
    callbacks: Sequence[Callback] = (),
    tensorboard: bool = False,
) -> Run:
    """Train a model and test it once at the end.

    Args:
        config: what to compute.
        out: the run's folder; the default is a new one in `runs/`.
        resume: go on with the run in this folder, under `config`, in place of a new one.
        callbacks: are told how it goes, and may end it; the user's own logging.
        tensorboard: write TensorBoard events too, into the run's folder.

    Returns:
        The run, with its evaluation.

    Raises:
        UserError: something that the user can mend, such as another process at work on the run; nothing is lost.
        Diverged: the loss is not finite any more; the last good state is kept.
        CallbackError: a callback failed; the state is saved.
        KeyboardInterrupt: stopped by the user; the state is saved.

    Example:
        >>> run = train(RunConfig(data="digits", epochs=1))
        >>> run.evaluation()["test"]["accuracy"]
    """
    # a folder given relative to this directory is the run's data from any other, too
    config = as_built(replace(config, data=locate_data(config.data)))
    folder = Path(resume or out or new_folder(config.recipe))
    followers = Callbacks([*callbacks, TensorBoard()] if tensorboard else callbacks, folder)
    if resume is not None:
        with FolderLock(folder):
            return _train(Run(folder, config), followers, resumed=True)
    check_new(folder)
    return _train(Run(folder, config), followers, numbered=out is None)


def _train(run: Run, followers: Callbacks, *, resumed: bool = False, numbered: bool = False) -> Run:
    """Train a run: a resumed one, whose lock is held, or a new one, whose folder is made when all is ready."""
    config = run.config
    device = resolve_device(config.device)
    precision = resolve_precision(config.precision, device)
    dataset = load_dataset(config)
    # the range of a run is decided once: it stays when the run goes on and the folder has changed
    config = replace(config, pixel_range=dataset.pixel_range or config.pixel_range)
    training, validation = split_training(config, dataset)
    spec = specify(config, dataset)
    with on_meta():
        check_memory(spec.build(), min(config.batch_size, len(training)), device, precision)
    seed_everything(config.seed)
    model = place_model(spec.build(), device)
    assert spec.inputs is not None
    batches = Batches(training.to(device), spec.inputs, augmentation(config), spec.pairing, balance=config.balance)
    lock = None
    if resumed:
        run = Run(run.folder, config)
    else:
        check_space(run.folder, space_needed(model, config))
        environment = describe_environment(device, precision)
        run, lock = create_locked(run.folder, config, environment, numbered=numbered)
        followers.folder = run.folder
    try:
        for note in (*dataset.notes, *compare_splits(run, dataset, validation)):
            print(f"capsnet: {note}", file=sys.stderr)
        job = Job(run, spec, model, batches, validation, device, precision, followers)
        if resumed:
            job.restore()
        job.train()
        if job.trained or run.evaluation() is None:
            _test(job, dataset)
    except BaseException as fault:
        _end_badly(followers, fault)
        raise
    finally:
        if lock is not None:
            lock.release()
    followers.end(run.evaluation())
    return run


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
        best_model = job.run.load_model().to(job.device)
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
        "seconds": job.state.seconds,
        "images_per_second": job.state.images / max(job.state.seconds, 1e-9),
    }
    if job.validation is not None:
        result["validation"] = {
            "n": len(job.validation),
            "accuracy": job.state.best_accuracy,
            "margin_loss": job.state.best_loss,
        }
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
