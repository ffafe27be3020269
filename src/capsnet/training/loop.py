"""Training: one loop, read from top to bottom.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 3 to 5.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from capsnet.data import ImageData
from capsnet.data.transforms import Draws
from capsnet.disk_space import check_space
from capsnet.inference.evaluate import Evaluation, evaluate_part
from capsnet.inference.examples import draw_examples
from capsnet.models import CapsuleModel
from capsnet.runs.checkpoint import CheckpointWriter, State, check_length, load_checkpoint
from capsnet.runs.config import RunConfig
from capsnet.runs.files import write_text
from capsnet.runs.folder import Run
from capsnet.runs.metrics import MetricsFile
from capsnet.runs.weights import ModelSpec, count_parameters, save_weights
from capsnet.training.batches import Batches, take
from capsnet.training.callback import CallbackError, Callbacks, Start, Validation
from capsnet.training.distributed import Processes
from capsnet.training.finite import Diverged as Diverged
from capsnet.training.finite import FiniteCheck
from capsnet.training.length import print_length
from capsnet.training.progress import Reporter
from capsnet.training.step import Step
from capsnet.training.stop import StopRequest, stop_on_signal

# in the order of `Step.totals`
MEANS = ("loss", "margin_loss", "reconstruction_loss", "accuracy")
_ROWS_PER_EPOCH = 20
_CHECKPOINT_SECONDS = 30.0
# reading the numbers waits for the device
_READ_SECONDS = 1.0
# steps between joint decisions of all processes: on a GPU they cost more than launching a step
_DECISION_STEPS = {"cpu": 1, "cuda": 16}
_ALONE = Processes()


class Job:
    """A run in progress: its model, data and state.

    Args:
        run: its folder and configuration.
        spec: description of the model, for the weights file.
        model: on `device`.
        batches: training images, on `device`.
        validation: validation images, or None.
        device: for training.
        precision: of the convolutions, `"fp32"`, `"tf32"` or `"bf16"`.
        callbacks: of the user.
        processes: that share each batch; the first one writes the folder.
    """

    def __init__(
        self,
        run: Run,
        spec: ModelSpec,
        model: CapsuleModel,
        batches: Batches,
        validation: ImageData | None,
        device: torch.device,
        precision: str,
        callbacks: Callbacks,
        processes: Processes = _ALONE,
    ) -> None:
        self.run, self.config, self.spec = run, run.config, spec
        self.model, self.device, self.processes = model, device, processes
        self.step = Step(model, batches, self.config, precision, processes)
        # moved once, not at each validation
        self.batches, self.validation = batches, None if validation is None else validation.to(device)
        self.half = precision == "bf16" and device.type == "cuda"
        self.checkpoints = CheckpointWriter(run.folder / "last")
        self.steps_per_epoch = -(-len(batches) // self.config.optimizer.batch_size)
        self.total_steps = self.config.optimizer.total_steps(self.steps_per_epoch)
        self.row_steps = max(1, self.steps_per_epoch // _ROWS_PER_EPOCH)
        self.state, self.trained = State(), False
        # rows of metrics whose numbers are still on the device: step, images, sums
        self.rows: list[tuple[int, int, Tensor]] = []
        # number of images and time when the numbers were last read from the device
        self.read_images, self.clock = 0, 0.0
        self.metrics = MetricsFile(run.folder / "metrics.csv")
        self.finite = FiniteCheck(run.folder, self.config, self.steps_per_epoch)
        # the batch of the latest step, and the step at which the state was last checked to be finite
        self.latest: tuple[Tensor, Draws] | None = None
        self.checked_step = 0
        self.callbacks = callbacks
        # whether a callback ended the run early, in any process, or failed
        self.ending = False
        self.fault: CallbackError | None = None

    def restore(self) -> None:
        """Continue from the run's checkpoint, or from the start if there is none yet.

        Raises:
            UserError: the run has done more steps than its configuration now has.
        """
        checkpoint = self.run.folder / "last" / "checkpoint.safetensors"
        if checkpoint.exists():
            self.state, totals = load_checkpoint(checkpoint.parent, self.model, self.step.optimizer)
            # the sums over all processes, which the first one continues
            self.step.totals.copy_(totals if self.processes.is_first else torch.zeros_like(totals))
            self.step.done.fill_(self.state.step)
            self.read_images = self.state.images
            check_length(self.run.folder, self.state.step, self.total_steps)
        if not self.processes.is_first:
            return
        if not self.ended:
            # existing files are replaced by files of the same sizes, one at a time
            existing = sum(file.stat().st_size for file in (self.run.weights_path, checkpoint) if file.exists())
            needed = max(space_needed(self.model, self.config) - existing, 0)
            check_space(self.run.folder, needed, "give another `out`")
        print_length(self.run, self.state.step, self.steps_per_epoch, self.model.loss)
        self.metrics.drop_after(self.state.step)
        write_text(self.run.folder / "config.json", self.config.to_json())

    @property
    def ended(self) -> bool:
        """Whether the last step is done, or the accuracy for early stopping is reached."""
        target = self.config.optimizer.stop_at
        return self.state.step >= self.total_steps or (target is not None and target <= self.state.best_accuracy)

    def train(self) -> None:
        """Train to the end of the run."""
        self.trained = not self.ended
        config = self.config.options()
        self.callbacks.start(Start(self.run.folder, config, self.state.step, self.total_steps, self.steps_per_epoch))
        first = self.processes.is_first
        before = self.run.metrics() if first else ()
        reporter = Reporter(self.total_steps, self.steps_per_epoch, self.state.step, before, silent=not first)
        try:
            with stop_on_signal() as stop:
                while not self.ended and not self.ending:
                    self._train_epoch(reporter, stop)
            if self.fault is not None:
                raise self.fault
        finally:
            reporter.close()
            self.batches.close()
            self.checkpoints.wait()

    def _train_epoch(self, reporter: Reporter, stop: StopRequest) -> None:
        """Train from the present step to the end of its epoch or of the run; then validate and save."""
        epoch, done = divmod(self.state.step, self.steps_per_epoch)
        order, draws = self.batches.plan_epoch(self.config.run.seed, epoch)
        self.model.train()
        saved = self.clock = time.monotonic()
        last_step = min((epoch + 1) * self.steps_per_epoch, self.total_steps)
        size = self.config.optimizer.batch_size
        self.batches.read_ahead(order, self._positions(done, last_step - epoch * self.steps_per_epoch, len(order)))
        for position in range(done, self.steps_per_epoch):
            batch = slice(position * size, (position + 1) * size)
            self._step(order[batch], take(draws, batch))
            if self.state.step == last_step:
                break
            if self.state.step % self.row_steps == 0:
                self._end_row()
            due = stop.requested or (self.processes.is_first and time.monotonic() - saved > _CHECKPOINT_SECONDS)
            was_read = due or time.monotonic() - self.clock > _READ_SECONDS
            if was_read:
                self._read_and_report(reporter)
            stopping, saving = self._decide(stop, due)
            if self.ending:
                # one more step, for the row that holds the validation
                last_step = self.state.step + 1
            if saving:
                if not was_read:
                    self._read_and_report(reporter)
                self._save()
                saved = self.clock = time.monotonic()
            if stopping:
                self._stop()
        self._end_row()
        rows, validation = self._read_rows(), self._validate()
        if validation is not None:
            rows[-1] |= {"validation_loss": validation.loss, "validation_accuracy": validation.accuracy}
        self._report(reporter, rows)
        self._save()
        self._call_back(rows, validation)
        stopping, _ = self._decide(stop, False, always=True)
        if stopping and (self.fault is not None or not self.ended):
            self._stop()

    def _positions(self, first: int, last: int, images: int) -> Iterator[slice]:
        """The positions of the images that this process reads, step by step."""
        size = self.config.optimizer.batch_size
        for start in range(first * size, min(last * size, images), size):
            for part in self.step.parts(min(size, images - start)):
                yield slice(start + part.images.start, start + part.images.stop)

    def _decide(self, stop: StopRequest, due: bool, *, always: bool = False) -> tuple[bool, bool]:
        """Whether to stop, and whether to save: all processes reach the same decision after the same step.

        Between the ends of epochs they exchange it after some steps only, unless `always`.
        """
        if not always and self.processes.count > 1 and self.state.step % _DECISION_STEPS[self.device.type]:
            return False, False
        stopping = stop.requested or self.fault is not None
        flags = self.processes.any([stopping, due or stopping, self.callbacks.stop])
        stopping, saving, self.ending = flags
        return stopping, saving

    def _save(self) -> None:
        """Write the checkpoint, unless its numbers are not finite.

        Raises:
            Diverged: they are not; the last checkpoint stays.
        """
        totals = self.processes.sum(self.step.totals.clone())
        if self.processes.is_first:
            self._check_state()
            self.checkpoints.save(self.model, self.step.optimizer, self.state, totals)

    def _check_state(self) -> None:
        if self.checked_step == self.state.step:
            return
        self.finite.weights(self.model, self.step.optimizer, self.state.step)
        if self.latest is not None:
            indices, draws = self.latest
            positions = self.step.parts(len(indices))[0].images
            batch = self.batches.make(indices[positions], take(draws, positions))
            self.finite.outputs(self.model, batch, self.state.step)
        self.checked_step = self.state.step

    def _stop(self) -> None:
        folder = self.run.folder
        self.checkpoints.wait()
        if self.fault is not None:
            raise self.fault
        raise KeyboardInterrupt(f"stopped at step {self.state.step}; go on with: capsnet train --resume {folder}")

    def _step(self, indices: Tensor, draws: Draws) -> None:
        # dropout, in whatever form, uses the global generator: a resumed run draws the same numbers
        process = self.processes.rank << 32
        torch.manual_seed(self.config.run.seed * 1_000_003 + 500_000 + self.state.step + process)
        self.step(indices, draws, self._learning_rate(self.state.step))
        self.latest = (indices, draws)
        self.state.step += 1
        self.state.images += len(indices)

    def _learning_rate(self, step: int) -> float:
        return self.config.optimizer.learning_rate(step, self.steps_per_epoch)

    def _validate(self) -> Validation | None:
        """Keep the weights that are best on validation; without validation, the last.

        Raises:
            Diverged: the weights, or their loss on validation, are not finite; the best ones stay.
        """
        accuracy, loss, result = 0.0, -float(self.state.step), None
        if self.processes.is_first:
            self._check_state()
        if self.processes.is_first and self.validation is not None:
            # on a GPU, in the precision of training; the test is in float32
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                result = self.evaluate(self.model, self.validation, "validation")
            accuracy, loss = result.accuracy, result.margin_loss
            self.finite.evaluation(loss, "validation", self.state.step)
        accuracy, loss = self.processes.share_numbers([accuracy, loss])
        improved = self.state.improves(accuracy, loss)
        if improved:
            self.state.best_step, self.state.best_accuracy, self.state.best_loss = self.state.step, accuracy, loss
        if improved and self.processes.is_first:
            save_weights(self.run.weights_path, self.model, self.spec)
        if result is None or self.validation is None:
            return None
        epoch = self.state.step / self.steps_per_epoch
        draw = partial(draw_examples, self.model, self.validation, self.spec.pairing)
        return Validation(self.state.step, epoch, result.n, accuracy, loss, improved, draw)

    def evaluate(self, model: CapsuleModel, data: ImageData, split: str) -> Evaluation:
        """Evaluate a model on images, or on pairs of them: on several pairs of each digit in the test only."""
        pairing = self.spec.pairing
        if pairing is not None and split == "validation":
            pairing = replace(pairing, pairs_per_digit=1)
        return evaluate_part(model, data, pairing, name=self.spec.data, split=split)

    def _end_row(self) -> None:
        """End a row of metrics; its numbers stay on the device, without synchronisation."""
        self.rows.append((self.state.step, self.state.images, self.processes.sum(self.step.totals.clone())))
        self.step.totals.zero_()

    def _read_and_report(self, reporter: Reporter) -> None:
        rows = self._read_rows()
        self._report(reporter, rows)
        self._call_back(rows)
        self.clock = time.monotonic()

    def _read_rows(self) -> list[dict[str, float]]:
        """Read the rows that ended since the last call; this waits for the device.

        Raises:
            Diverged: a loss was not finite.
        """
        if bad_step := int(self.step.bad_step):
            # the checkpoint being written is the last good state
            self.checkpoints.wait()
        self.finite.losses(bad_step)
        before, seconds = self.read_images, time.monotonic() - self.clock
        rows = []
        for step, images, totals in self.rows:
            *sums, count = totals.tolist()
            # time was not measured between rows: divide it in proportion to their images
            elapsed = self.state.seconds + seconds * (images - before) / (self.state.images - before)
            means = {name: total / count for name, total in zip(MEANS, sums, strict=True)}
            epoch, learning_rate = step / self.steps_per_epoch, self._learning_rate(step - 1)
            row = {"step": float(step), "epoch": epoch, "learning_rate": learning_rate, **means}
            rows.append({**row, "images_per_second": images / elapsed, "seconds": elapsed})
        self.state.seconds += seconds
        self.read_images = self.state.images
        self.rows.clear()
        return rows

    def _report(self, reporter: Reporter, rows: Sequence[dict[str, float]]) -> None:
        for row in rows if self.processes.is_first else ():
            self.metrics.append(row)
            reporter.row(row)

    def _call_back(self, rows: Sequence[dict[str, float]], validation: Validation | None = None) -> None:
        """Call the callbacks once all rows are on the disk; if one fails, the run can be resumed from here."""
        try:
            for row in rows:
                self.callbacks.row(row)
            if validation is not None:
                self.callbacks.validation(validation)
        except CallbackError as fault:
            # raised by `_stop`, after the state is saved
            self.fault = fault


def space_needed(model: CapsuleModel, config: RunConfig) -> int:
    """Bytes that a run writes: the best weights, the checkpoint, and a second checkpoint while it is replaced."""
    weights = 4 * count_parameters(model)
    return weights + 2 * weights * (3 if config.optimizer.name == "adam" else 2)
