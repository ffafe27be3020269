"""Training in memory, epoch by epoch: a run's training loop without folder, evaluation and messages.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, sections 3 to 5.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from capsnet.data import Dataset, ImageData
from capsnet.errors import UserError
from capsnet.inference.evaluate import evaluate_model
from capsnet.models import CapsuleModel
from capsnet.precision import use_precision
from capsnet.runs.config import RunConfig
from capsnet.runs.weights import on_meta
from capsnet.training.batches import Batches, take
from capsnet.training.device import check_memory, place_model, resolve_device, resolve_precision
from capsnet.training.setup import augmentation, specify
from capsnet.training.step import Step


@dataclass
class Progress:
    """The state of training.

    Args:
        seed: random seed.
        losses: the mean loss of each epoch.
        scores: validation accuracy of each epoch.
        optimizer_state: state of the optimiser, with which the next learner continues; None: none yet.
    """

    seed: int
    losses: list[float]
    scores: list[float]
    optimizer_state: Mapping[str, object] | None = None

    def on_cpu(self) -> "Progress":
        """A copy with tensors on the CPU."""
        state = cast(Mapping[str, object] | None, _on_cpu(self.optimizer_state))
        return replace(self, optimizer_state=state)


def _on_cpu(state: object) -> object:
    if isinstance(state, Mapping):
        return {name: _on_cpu(value) for name, value in state.items()}
    if isinstance(state, list):
        return [_on_cpu(value) for value in state]
    return state.cpu() if isinstance(state, Tensor) else state


def make_model(config: RunConfig, data: ImageData, pixel_range: tuple[float, float] | None) -> CapsuleModel:
    """Create a network for images on the training device; the global random state is unchanged.

    Raises:
        UserError: options that do not fit the images, or a network that does not fit into memory.
    """
    spec = specify(config, Dataset("arrays", data, data, pixel_range=pixel_range))
    device = resolve_device(config.run.device)
    with on_meta():
        precision = resolve_precision(config.run.precision, device)
        check_memory(spec.build(), min(config.optimizer.batch_size, len(data)), device, precision)
    with torch.random.fork_rng():
        torch.manual_seed(config.run.seed)
        return place_model(spec.build(), device)


class Learner:
    """Trains a model on images in memory.

    Args:
        model: a model on the training device.
        data: training images.
        config: a run's configuration; its length only determines the learning rate.
        class_weights: images are drawn in proportion to the weight of their class; None: each once in an epoch.
        progress: progress of earlier learners of the same model, which is continued.

    Shapes:
        class_weights `n`.

    Raises:
        UserError: options that do not fit together.
    """

    def __init__(
        self,
        model: CapsuleModel,
        data: ImageData,
        config: RunConfig,
        progress: Progress,
        *,
        class_weights: Float[Tensor, " n"] | None = None,
    ) -> None:
        if class_weights is not None and config.data.balance:
            raise UserError("balance and class weights contradict each other; give one of them")
        self.model, self.config, self.progress, self.device = model, config, progress, model.device
        self._precision = resolve_precision(config.run.precision, self.device)
        self._batches = Batches(
            data.to(self.device), model.inputs, augmentation(config.augmentation), balance=config.data.balance
        )
        self._weights = None if class_weights is None else class_weights.to(self.device)[self._batches.data.labels]
        self._step = Step(model, self._batches, config, self._precision)
        self.steps_per_epoch = -(-len(data) // config.optimizer.batch_size)
        # losses that change over training go on where the earlier learners ended
        self._step.done.fill_(len(progress.losses) * self.steps_per_epoch)
        if progress.optimizer_state is not None:
            self._step.optimizer.load_state_dict(dict(progress.optimizer_state))

    def train(self, held: ImageData | None, patience: int) -> None:
        """Train for the epochs of the configuration.

        Args:
            held: validation images for early stopping: training ends when their accuracy has not risen for `patience`
                epochs, and the weights of the best epoch are kept. None: train to the end.
            patience: number of epochs.

        Raises:
            UserError: the loss is not finite.
        """
        best, best_score, best_epoch = None, -math.inf, 0
        for epoch in range(self.config.optimizer.total_epochs(self.steps_per_epoch)):
            self.train_epoch()
            if held is None:
                continue
            score = evaluate_model(self.model, held, name="held out", split="validation").accuracy
            self.progress.scores.append(score)
            if score > best_score:
                best, best_score, best_epoch = copy.deepcopy(self.model.state_dict()), score, epoch
            elif epoch - best_epoch >= patience:
                break
        if best is not None:
            self.model.load_state_dict(best)

    def train_epoch(self) -> None:
        """Train for an epoch; its randomness is determined by the seed and the number of earlier epochs.

        Raises:
            UserError: the loss is not finite.
        """
        number, size = len(self.progress.losses), self.config.optimizer.batch_size
        seed = self.progress.seed * 1_000_003 + number
        order, draws = self._batches.plan_epoch(self.progress.seed, number)
        if self._weights is not None:
            order = weighted_order(self._weights, torch.Generator(self.device).manual_seed(seed))
        self.model.train()
        self._step.totals.zero_()
        # dropout uses the global generator
        with use_precision(self._precision, self.device), torch.random.fork_rng():
            torch.manual_seed(seed)
            for position in range(self.steps_per_epoch):
                part = slice(position * size, (position + 1) * size)
                rate = self.config.optimizer.learning_rate(
                    number * self.steps_per_epoch + position, self.steps_per_epoch
                )
                self._step(order[part], take(draws, part), rate)
        self.model.eval()
        if bad := int(self._step.bad_step):
            raise UserError(
                f"the loss is not finite after {bad} steps, at lr {self.config.optimizer.lr:g}; use a smaller lr"
            )
        self.progress.losses.append(float(self._step.totals[0] / self._step.totals[-1]))
        self.progress.optimizer_state = self._step.optimizer.state_dict()


def weighted_order(weights: Float[Tensor, " m"], generator: torch.Generator) -> Int[Tensor, " m"]:
    """Draw an epoch of image indices in random order, in proportion to the images' weights.

    Systematic sampling: an image that should be drawn x times is drawn floor(x) or ceil(x) times.

    Args:
        weights: weight of each image; not negative, and not all 0.
        generator: random generator on the device of the weights.

    Shapes:
        weights and result `m`.
    """
    count, device = len(weights), weights.device
    shuffled = torch.randperm(count, generator=generator, device=device)
    ends = weights[shuffled].double().cumsum(0)
    points = torch.arange(count, device=device) + torch.rand(1, generator=generator, device=device, dtype=torch.double)
    positions = torch.searchsorted(ends, points * (ends[-1] / count), right=True).clamp(max=count - 1)
    return shuffled[positions][torch.randperm(count, generator=generator, device=device)]
