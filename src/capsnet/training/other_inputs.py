"""Training of segmentation models and of models of sequences: a plain loop that writes a run folder.

The loop for images (`training/loop.py`) is another one: its data are augmented on the device, its steps are captured,
and several processes share its batches. Here a batch is read, a step is made, and an epoch ends with validation.
"""

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Generic

import torch
from safetensors import SafetensorError
from torch.optim import Adam

from capsnet.data.mask_folder import MaskFolder
from capsnet.data.sequences import SequenceData
from capsnet.disk_space import check_space
from capsnet.errors import UserError
from capsnet.models import SegmentationModel, SequenceModel
from capsnet.precision import use_precision
from capsnet.runs.built import as_planned
from capsnet.runs.checkpoint import (
    State,
    check_length,
    check_resumable,
    has_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from capsnet.runs.config import RunConfig
from capsnet.runs.files import write_bytes, write_json, write_text
from capsnet.runs.folder import Run, check_new, check_resumed, create_locked, new_folder
from capsnet.runs.given import note_length
from capsnet.runs.lock import FolderLock
from capsnet.runs.metrics import COLUMNS, MASK_COLUMNS, MetricsFile
from capsnet.runs.options import resume_config
from capsnet.runs.typed import read_json
from capsnet.runs.weights import count_parameters
from capsnet.training.device import compare_kernels, describe_environment, resolve_device, seed_everything
from capsnet.training.finite import Diverged, has_finite_weights
from capsnet.training.learners import D, Learner, M, MaskLearner, SequenceLearner
from capsnet.training.length import print_length
from capsnet.training.memory import describe_out_of_memory, is_out_of_memory
from capsnet.training.stop import StopRequest, stop_on_signal
from capsnet.training.task import MODELS_OF, Task

_CHECKPOINT_SECONDS = 30.0
_SHOW_SECONDS = 2.0
_ALLOWED = frozenset(
    ("data", "model", "model_options", "limit", "validation", "epochs", "steps", "batch_size", "lr", "seed", "device")
)
_SCHEDULE = {"schedule": "one-cycle", "epochs": None, "recon_weight": 0.0, "shift": 0}
_DEFAULTS: Mapping[Task, RunConfig] = {
    "own-masks": RunConfig.from_defaults(model="segcaps-small", batch_size=8, lr=0.01, **_SCHEDULE),
    "own-sequences": RunConfig.from_defaults(model="sequence-capsnet", batch_size=32, lr=3e-3, **_SCHEDULE),
}


def options_of(task: Task) -> tuple[str, ...]:
    """The options of a run that have an effect, in alphabetical order."""
    return tuple(sorted(_ALLOWED | ({"image_size"} if task == "own-masks" else set())))


def default_config(task: Task) -> RunConfig:
    """The configuration of a run without options."""
    return replace(_DEFAULTS[task], run=replace(_DEFAULTS[task].run, recipe=task))


def train_other(
    task: Task, options: Mapping[str, object], *, out: Path | str | None = None, resume: Path | str | None = None
) -> Run:
    """Train, and test once at the end, as `train` does.

    Args:
        task: from `capsnet.training.task.find_task`.
        options: of the run, by name.
        out: the run's folder; default: a new one in `runs/`.
        resume: continue the run in this folder.

    Raises:
        UserError: an option that has no effect here, data or a model that cannot be used, or several processes.
        Diverged: the loss is not finite; the last good state is kept.
        KeyboardInterrupt: stopped by the user; the state is saved.
    """
    check_resumed(resume, out)
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1:
        raise UserError(f"{MODELS_OF[task]} are trained by one process, got {count}; run the command without torchrun")
    allowed = options_of(task)
    for name in options:
        if name not in allowed:
            raise UserError(
                f"{name} must be left out: it is for networks that classify images; {MODELS_OF[task]} are trained with "
                f"{', '.join(allowed)}"
            )
    note_length(options)
    if resume is not None:
        config = resume_config(Run.open(resume).config, options)
        # another directory may be the current one when the run is opened again
        config = config.change(data=str(Path(config.data.name).absolute()))
        with FolderLock(Path(resume)):
            check_resumable(Path(resume))
            return _train(Run(Path(resume), config), resumed=True)
    config = default_config(task).change(**{**options, "data": str(Path(str(options["data"])).absolute())})
    folder = Path(out or new_folder(task))
    check_new(folder)
    return _train(Run(folder, config), numbered=out is None)


def _train(run: Run, *, resumed: bool = False, numbered: bool = False) -> Run:
    seed_everything(run.config.run.seed)
    if run.config.run.recipe == "own-masks":
        masks: Learner[SegmentationModel, MaskFolder] = MaskLearner(run.config)
        return _train_learner(run, masks, resumed=resumed, numbered=numbered)
    sequences: Learner[SequenceModel, SequenceData] = SequenceLearner(run.config)
    return _train_learner(run, sequences, resumed=resumed, numbered=numbered)


def _train_learner(run: Run, learner: Learner[M, D], *, resumed: bool, numbered: bool) -> Run:
    device = resolve_device(run.config.run.device)
    learner.model.to(device)
    kernel_notes: list[str] = compare_kernels(run.environment(), device) if resumed else []
    for note in (*learner.notes, *kernel_notes):
        print(f"capsnet: {note}", file=sys.stderr)
    lock = None
    if not resumed:
        check_space(run.folder, _space_needed(learner.model), "give another `out`")
        config = as_planned(run.config, len(learner.train), "fp32")
        run, lock = create_locked(run.folder, config, describe_environment(device, "fp32"), numbered=numbered)
    try:
        _record_splits(run, learner)
        loop = PlainLoop(run, learner)
        if resumed:
            loop.restore()
        loop.train()
        loop.test()
    except BaseException as fault:
        if is_out_of_memory(fault):
            raise UserError(describe_out_of_memory(run.folder, run.config.optimizer.batch_size, None)) from None
        raise
    finally:
        if lock is not None:
            lock.release()
    return run


def _space_needed(model: SegmentationModel | SequenceModel) -> int:
    """Bytes of the best weights, and of the weights and two moments in each of two checkpoints."""
    return 4 * count_parameters(model) * (1 + 2 * 3)


def _record_splits(run: Run, learner: Learner[M, D]) -> None:
    """Write which samples are in which split; a resumed run must have the same.

    Raises:
        UserError: the data changed.
    """
    path = run.folder / "splits.json"
    parts = {"train": learner.train, "validation": learner.validation, "test": learner.test}
    names = {split: [] if data is None else learner.names(data) for split, data in parts.items()}
    if not path.exists():
        keys = {split: [] if data is None else learner.keys(data) for split, data in parts.items()}
        data = {"format_version": 1, "data": run.config.data.name, "class_names": list(learner.train.class_names)}
        write_json(path, {**data, **names, "keys": keys})
        return
    before = read_json(path)
    if not isinstance(before, dict) or any(before.get(split) != names[split] for split in names):
        raise UserError(
            f"{run.config.data.name} does not hold the same files as when {run.folder} began; start a new run"
        )
    classes = ", ".join(learner.train.class_names)
    # runs of older versions do not record their classes
    began = ", ".join(map(str, before.get("class_names", learner.train.class_names)))
    if classes != began:
        raise UserError(
            f"{run.config.data.name} has the classes {classes}, when {run.folder} began {began}; start a new run"
        )


class PlainLoop(Generic[M, D]):
    """A run in progress.

    Args:
        run: its folder and configuration.
        learner: its model, on the device, and its data.
    """

    def __init__(self, run: Run, learner: Learner[M, D]) -> None:
        self.run, self.config = run, run.config
        self.learner: Learner[M, D] = learner
        optimizer = self.config.optimizer
        self.optimizer = Adam(learner.model.parameters(), lr=optimizer.lr)
        self.steps_per_epoch = -(-len(learner.train) // optimizer.batch_size)
        self.total = optimizer.total_steps(self.steps_per_epoch)
        self.state = State()
        # sums over the samples since the last row: loss, score, samples
        self.totals = torch.zeros(3)
        columns = MASK_COLUMNS if learner.measure == "dice" else COLUMNS
        self.metrics = MetricsFile(run.folder / "metrics.csv", columns)
        self._shown = 0.0

    def restore(self) -> None:
        """Continue from the checkpoint, or from the start if there is none.

        Raises:
            UserError: the run has done more steps than its configuration now has.
        """
        if has_checkpoint(self.run.folder):
            self.state, self.totals = load_checkpoint(self.run.folder / "last", self.learner.model, self.optimizer)
            check_length(self.run.folder, self.state.step, self.total)
        print_length(self.run, self.state.step, self.steps_per_epoch)
        self.metrics.drop_after(self.state.step)
        write_text(self.run.folder / "config.json", self.config.to_json())

    def train(self) -> None:
        """Train to the last step.

        Raises:
            Diverged: the loss is not finite.
            KeyboardInterrupt: stopped; the state is saved.
        """
        device = next(self.learner.model.parameters()).device
        with stop_on_signal() as stop, use_precision("fp32", device):
            while self.state.step < self.total:
                self._train_epoch(stop)

    def _train_epoch(self, stop: StopRequest) -> None:
        epoch, done = divmod(self.state.step, self.steps_per_epoch)
        seed = self.config.run.seed * 1_000_003 + epoch
        batches = self.learner.batches(self.config.optimizer.batch_size, torch.Generator().manual_seed(seed))
        self.learner.model.train()
        saved = time.monotonic()
        for batch in islice(batches, done, None):
            self._step(batch)
            if self.state.step == self.total or self.state.step % self.steps_per_epoch == 0:
                break
            if stop.requested or time.monotonic() - saved > _CHECKPOINT_SECONDS:
                self._save()
                saved = time.monotonic()
            if stop.requested:
                raise self._stopped()
        self._end_epoch()
        if stop.requested and self.state.step < self.total:
            raise self._stopped()

    def _stopped(self) -> KeyboardInterrupt:
        return KeyboardInterrupt(
            f"stopped at step {self.state.step}; go on with: capsnet train --resume {self.run.folder}"
        )

    def _step(self, batch: D) -> None:
        begin, state = time.monotonic(), self.state
        rate = self.config.optimizer.learning_rate(state.step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # of dropout: a resumed run draws the same numbers
        torch.manual_seed(self.config.run.seed * 1_000_003 + 500_000 + state.step)
        loss, score = self.learner.measure_batch(batch)
        if not loss.isfinite():
            raise self._diverged("loss is", state.step + 1)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        count = len(batch)
        self.totals += torch.tensor([float(loss.detach()) * count, float(score) * count, count])
        state.step += 1
        state.images += count
        state.seconds += time.monotonic() - begin

    def _diverged(self, subject: str, step: int) -> Diverged:
        rate = self.config.optimizer.learning_rate(step - 1, self.steps_per_epoch)
        kept = f"{self.run.folder} keeps the last good state; " if has_checkpoint(self.run.folder) else ""
        return Diverged(
            f"the {subject} not finite at step {step}, learning rate {rate:.3g}; {kept}use a lower lr, got "
            f"{self.config.optimizer.lr:g}"
        )

    def _check_weights(self) -> None:
        if not has_finite_weights(self.learner.model, self.optimizer):
            raise self._diverged("weights are", self.state.step)

    def _end_epoch(self) -> None:
        """Write a row, keep the weights that are best on validation (without validation, the last), and save."""
        self._check_weights()
        state, measure = self.state, self.learner.measure
        loss, score = (self.totals[:2] / self.totals[2]).tolist()
        self.totals.zero_()
        row = {
            "step": float(state.step),
            "epoch": state.step / self.steps_per_epoch,
            "learning_rate": self.config.optimizer.learning_rate(state.step - 1, self.steps_per_epoch),
            "loss": loss,
            "margin_loss": loss,
            "reconstruction_loss": 0.0,
            measure: score,
            "images_per_second": state.images / max(state.seconds, 1e-9),
            "seconds": state.seconds,
        }
        best_score, best_loss = 0.0, -float(state.step)
        if self.learner.validation is not None:
            result = self.learner.evaluate(self.learner.model, self.learner.validation)
            best_score, best_loss = result.score, result.loss
            row |= {"validation_loss": best_loss, f"validation_{measure}": best_score}
        if state.improves(best_score, best_loss):
            state.best_step, state.best_accuracy, state.best_loss = state.step, best_score, best_loss
            self._save_weights()
        self.metrics.append(row)
        self._show(row)
        self._save()

    def _save_weights(self) -> None:
        beside = self.run.folder / ".new-weights.part"
        try:
            self.learner.model.save(beside)
            write_bytes(self.run.weights_path, beside.read_bytes())
        # what a full disk raises in this format
        except (OSError, SafetensorError) as fault:
            reason = " ".join(str(fault).split())
            raise UserError(
                f"{self.run.weights_path} cannot be written ({reason}); earlier files are intact, so go on with: "
                f"capsnet train --resume {self.run.folder}"
            ) from None
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    def _save(self) -> None:
        self._check_weights()
        save_checkpoint(self.run.folder / "last", self.learner.model, self.optimizer, self.state, self.totals)

    def _show(self, row: Mapping[str, float]) -> None:
        """Print a line about the epoch, at most every two seconds, and at the end."""
        if time.monotonic() - self._shown < _SHOW_SECONDS and self.state.step < self.total:
            return
        self._shown = time.monotonic()
        measure, epochs = self.learner.measure, -(-self.total // self.steps_per_epoch)
        text = f"epoch {row['epoch']:.4g}/{epochs}  loss {row['loss']:.4f}  {measure} {100 * row[measure]:.2f} %"
        if f"validation_{measure}" in row:
            text += f"  validation {measure} {100 * row[f'validation_{measure}']:.2f} %"
        print(text, file=sys.stderr)

    def test(self) -> None:
        """Test the best and the last weights, once, and write `evaluation.json`."""
        path, learner, state = self.run.folder / "evaluation.json", self.learner, self.state
        before = read_json(path) if path.is_file() else None
        if isinstance(before, dict) and before.get("step") == state.step:
            return
        best = learner.load(self.run.weights_path).to(resolve_device(self.config.run.device))
        result: dict[str, object] = {
            "test": learner.evaluate(best, learner.test, "test").record,
            "test_last": learner.evaluate(learner.model, learner.test, "test").record,
            "best_step": state.best_step,
            "step": state.step,
            "parameters": count_parameters(learner.model),
            "decoder_parameters": 0,
            "seconds": state.seconds,
            "images_per_second": state.images / max(state.seconds, 1e-9),
        }
        if learner.validation is not None:
            loss = "loss" if learner.measure == "dice" else "margin_loss"
            scores = {learner.measure: state.best_accuracy, loss: state.best_loss}
            result["validation"] = {"n": len(learner.validation), **scores}
        write_json(path, result)
