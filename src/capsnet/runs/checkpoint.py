"""Everything that resume needs, in one file: model, optimiser, and where the run is.

Order and shifts are drawn anew for each epoch from the seed and the epoch's number, so that there is no random state
to store.
"""

import dataclasses
import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer

from capsnet.errors import UserError
from capsnet.runs.files import write_bytes
from capsnet.runs.weights import fill_model, read_tensors, to_bytes


@dataclass
class State:
    """Where a run is.

    Args:
        step: steps done.
        seconds: time spent in training steps.
        images: images trained on.
        best_step: step of the best weights; 0 for none yet.
        best_accuracy: their accuracy on validation.
        best_loss: their margin loss on validation.
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


class CheckpointWriter:
    """Writes checkpoints of copies in a thread beside the training; one at a time.

    Args:
        folder: the run's `last/`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Python waits for the thread of a pool before it ends
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None

    def save(self, model: nn.Module, optimizer: Optimizer, state: State, totals: Tensor) -> None:
        """Begin to write `checkpoint.safetensors`; a kill leaves the old one or the new one.

        Args:
            model: its parameters.
            optimizer: its moments.
            state: where the run is.
            totals: sums since the last row of metrics.

        Raises:
            UserError: the one before could not be written.
        """
        self.wait()
        tensors = {
            name: tensor.detach().to("cpu", copy=True) for name, tensor in _collect(model, optimizer, totals).items()
        }
        metadata = {"state": json.dumps(dataclasses.asdict(state))}
        self._writing = self._pool.submit(_write, self._folder, tensors, metadata)

    def wait(self) -> None:
        """Wait until all that was saved is on the disk.

        Raises:
            UserError: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def save_checkpoint(folder: Path, model: nn.Module, optimizer: Optimizer, state: State, totals: Tensor) -> None:
    """`CheckpointWriter.save`, and wait until it is done."""
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


def load_checkpoint(folder: Path, model: nn.Module, optimizer: Optimizer) -> tuple[State, Tensor]:
    """Read what `save_checkpoint` wrote, into `model` and `optimizer`.

    Returns:
        The state, and the sums since the last row of metrics.

    Raises:
        UserError: no checkpoint, a damaged one, or one of another model.
    """
    path = folder / "checkpoint.safetensors"
    tensors, metadata = read_tensors(path)
    if "state" not in metadata:
        raise UserError(f"{path}: is not a checkpoint of capsnet")
    fill_model(model, {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")}, path)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, moment = name.split(".")
            moments.setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return State(**json.loads(metadata["state"])), tensors["totals"]
