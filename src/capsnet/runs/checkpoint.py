"""Checkpoint of a run in one file: model, optimiser and progress.

Order and augmentation of each epoch follow from the seed and the epoch's number, so there is no random state to store.
"""

import dataclasses
import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from capsnet.errors import UserError
from capsnet.runs.files import write_bytes
from capsnet.runs.typed import convert, parse_json
from capsnet.runs.weights import fill_model, fit_numbers, read_tensors, to_bytes

MOMENTS: Mapping[type[Optimizer], frozenset[str]] = {
    Adam: frozenset(("step", "exp_avg", "exp_avg_sq")),
    SGD: frozenset(("momentum_buffer",)),
}
"""The state that each optimizer stores for a parameter."""


@dataclass
class State:
    """The progress of a run.

    Args:
        step: completed steps.
        seconds: time spent in training steps.
        images: images trained on.
        best_step: step of the best weights; 0: none yet.
        best_accuracy: their validation accuracy.
        best_loss: their validation loss.
    """

    step: int = 0
    seconds: float = 0.0
    images: int = 0
    best_step: int = 0
    best_accuracy: float = -1.0
    best_loss: float = float("inf")

    def improves(self, accuracy: float, loss: float) -> bool:
        """Whether weights with this validation result are better: by accuracy, then by loss."""
        return (accuracy, -loss) > (self.best_accuracy, -self.best_loss)


def has_checkpoint(run_folder: Path) -> bool:
    """Whether a run has a checkpoint."""
    return (run_folder / "last" / "checkpoint.safetensors").is_file()


class CheckpointWriter:
    """Writes checkpoints from copies of the tensors in a background thread, one at a time.

    Args:
        folder: the run's `last/`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Python waits for a pool's thread before it exits
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None

    def save(self, model: nn.Module, optimizer: Optimizer, state: State, totals: Tensor) -> None:
        """Start to write `checkpoint.safetensors`; if the process is killed, the old or the new file remains.

        Args:
            model: for its parameters.
            optimizer: for its moments.
            state: progress of the run.
            totals: sums since the last row of metrics.

        Raises:
            UserError: the previous checkpoint could not be written.
        """
        self.wait()
        tensors = {
            name: tensor.detach().to("cpu", copy=True) for name, tensor in _collect(model, optimizer, totals).items()
        }
        metadata = {"state": json.dumps(dataclasses.asdict(state))}
        self._writing = self._pool.submit(_write, self._folder, tensors, metadata)

    def wait(self) -> None:
        """Wait until the checkpoint is on the disk.

        Raises:
            UserError: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def save_checkpoint(folder: Path, model: nn.Module, optimizer: Optimizer, state: State, totals: Tensor) -> None:
    """Save a checkpoint, and wait until it is written."""
    writer = CheckpointWriter(folder)
    writer.save(model, optimizer, state, totals)
    writer.wait()


def _collect(model: nn.Module, optimizer: Optimizer, totals: Tensor) -> dict[str, Tensor]:
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
    return {**tensors, "totals": totals}


def _write(folder: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    write_bytes(folder / "checkpoint.safetensors", to_bytes(tensors, metadata))


def check_resumable(run_folder: Path) -> None:
    """Check that a resumed run would not begin anew over the results of a finished one.

    Raises:
        UserError: the run is finished, and its checkpoint was deleted.
    """
    if (run_folder / "evaluation.json").is_file() and not has_checkpoint(run_folder):
        raise UserError(
            f"{run_folder} is finished and has no checkpoint (last/), so it cannot go on; train a new run from its "
            f"weights: start_from={run_folder}"
        )


def check_length(run_folder: Path, done: int, total: int) -> None:
    """Check that a resumed run is not to be shorter than it is.

    Raises:
        UserError: more than `total` steps are done.
    """
    if done > total:
        raise UserError(
            f"{run_folder} has done {done:,} steps, more than the {total:,} of epochs and steps; give at least as "
            "many, or start a new run"
        )


def load_checkpoint(folder: Path, model: nn.Module, optimizer: Optimizer) -> tuple[State, Tensor]:
    """Load a checkpoint into `model` and `optimizer`.

    Returns:
        The state, and the sums since the last row of metrics.

    Raises:
        UserError: no checkpoint, a damaged one, or one that does not fit the model.
    """
    path = folder / "checkpoint.safetensors"
    tensors, metadata = read_tensors(path)
    if "state" not in metadata or "totals" not in tensors:
        raise UserError(f"{path} is not a checkpoint of capsnet")
    # before the first validation the best loss is infinite
    values = convert(parse_json(metadata["state"], str(path)), State, str(path), "state", finite=False)
    fill_model(model, {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")}, path)
    moments = _read_moments(tensors, optimizer, path)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return cast(State, values), fit_numbers(tensors["totals"], torch.float32, "totals", path)


def _read_moments(tensors: Mapping[str, Tensor], optimizer: Optimizer, path: Path) -> dict[int, dict[str, Tensor]]:
    """The moments of each parameter, by its index, with the memory layout of the parameter."""
    parameters: list[Tensor] = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    names = MOMENTS[type(optimizer)]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if not name.startswith("optimizer."):
            continue
        index, _, moment = name.removeprefix("optimizer.").partition(".")
        if not index.isdecimal() or int(index) >= len(parameters) or moment not in names:
            raise UserError(f"{path} is a checkpoint of another optimizer, this one has no {name!r}")
        parameter = parameters[int(index)]
        fitted = fit_numbers(tensor, torch.float32 if moment == "step" else parameter.dtype, name, path)
        if moment != "step":
            if tensor.shape != parameter.shape:
                shapes = f"{tuple(tensor.shape)} in the file, {tuple(parameter.shape)} in the model"
                raise UserError(f"{path}: the checkpoint does not fit the model, {name!r} is {shapes}")
            # files hold no strides, but a fused step needs parameter and moments in the same memory layout
            fitted = torch.empty_like(parameter).copy_(fitted)
        moments.setdefault(int(index), {})[moment] = fitted
    for number, fitted_moments in moments.items():
        if fitted_moments.keys() != names:
            missing = sorted(names - fitted_moments.keys())[0]
            raise UserError(f"{path} is not a complete checkpoint, 'optimizer.{number}.{missing}' is missing")
    return moments
