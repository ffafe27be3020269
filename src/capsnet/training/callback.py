"""Callbacks: user code that receives plain data during a run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from capsnet.errors import UserError
from capsnet.runs.folder import RunResult


@dataclass(frozen=True)
class Start:
    """The plan of a run.

    Args:
        folder: of the run.
        config: its configuration, as in `config.json`.
        step: completed steps; above 0 for a resumed run.
        total_steps: of the whole run.
        steps_per_epoch: in an epoch.
    """

    folder: Path
    config: Mapping[str, object]
    step: int
    total_steps: int
    steps_per_epoch: int


@dataclass(frozen=True)
class Validation:
    """Results on the validation images.

    Args:
        step: completed steps.
        epoch: completed passes over the training images.
        n: number of validation images.
        accuracy: share that is classified correctly.
        loss: margin loss, or the model's own loss.
        improved: these weights are the best so far, and were saved.
        draw: draws some images above their reconstructions, as uint8 `h w c`; returns None without a decoder. It runs
            the network, but only when called.
    """

    step: int
    epoch: float
    n: int
    accuracy: float
    loss: float
    improved: bool
    draw: Callable[[], UInt8[np.ndarray, "h w c"] | None]


class Callback:
    """Base class; override the methods that you need.

    The loop reads its numbers from the device about once a second and after each epoch, and then calls the methods:
    with every row once, in order, possibly several rows in succession.

    If a method returns True, the run ends early: it is validated, saved and tested as usual, and `resume` continues it
    to its full length. If a method fails, the run ends, too; its state is saved, so that it can be resumed.

    Example:
        >>> class Patience(capsnet.Callback):
        ...     def on_validation(self, validation):
        ...         self.bad = 0 if validation.improved else self.bad + 1
        ...         return self.bad == 5
        ...     def on_start(self, start):
        ...         self.bad = 0
        >>> capsnet.train(config, callbacks=[Patience()])
    """

    def on_start(self, start: Start) -> None:
        """Before the first step."""

    def on_row(self, row: dict[str, float]) -> bool | None:
        """A row of `metrics.csv`: about twenty in an epoch, the last one with its validation."""

    def on_validation(self, validation: Validation) -> bool | None:
        """After each epoch, if there are validation images."""

    def on_end(self, result: RunResult | None) -> None:
        """After the test, with the contents of `evaluation.json`; None if the run was stopped or failed."""


class CallbackError(UserError):
    """A callback failed; the run's state is saved."""


class Callbacks:
    """All callbacks of a run, called in order.

    Args:
        members: the callbacks.
        folder: of the run, for messages.

    Raises:
        UserError: a member is not a callback.
    """

    def __init__(self, members: Sequence[Callback], folder: Path) -> None:
        if not isinstance(members, Iterable):
            raise UserError(f"callbacks must be a list, got {members!r}; give [...]")
        for member in members:
            if not isinstance(member, Callback):
                got = f"the class {member.__name__}" if isinstance(member, type) else repr(member)
                raise UserError(f"callbacks must be objects of a class derived from capsnet.Callback, got {got}")
        self._members, self.folder = tuple(members), folder
        self.stop, self._ended = False, False

    def start(self, start: Start) -> None:
        """Call all with the start of the run."""
        for member in self._members:
            self._call(member, "on_start", start)

    def row(self, row: Mapping[str, float]) -> None:
        """Call all with a row; each gets its own copy."""
        for member in self._members:
            self._call(member, "on_row", dict(row))

    def validation(self, validation: Validation) -> None:
        """Call all with a validation."""
        for member in self._members:
            self._call(member, "on_validation", validation)

    def end(self, result: RunResult | None) -> None:
        """Call all with the end of the run, even if one fails; then raise the first failure."""
        self._ended = result is not None
        faults = []
        for member in self._members:
            try:
                self._call(member, "on_end", result)
            except CallbackError as fault:
                faults.append(fault)
        if faults:
            raise faults[0]

    def _call(self, member: Callback, method: str, value: object) -> None:
        name = f"callback {type(member).__name__}: its {method}"
        remedy = f"the run is saved; go on with capsnet train --resume {self.folder}"
        if self._ended:
            remedy = f"the run is finished and complete in {self.folder}"
        try:
            answer: object = getattr(member, method)(value)
        except Exception as fault:
            raise CallbackError(f"{name} failed with {type(fault).__name__}: {fault}; {remedy}") from fault
        if not isinstance(answer, bool | np.bool_ | None):
            raise CallbackError(f"{name} must return True, to end the run, or None, got {answer!r}; {remedy}")
        self.stop = self.stop or bool(answer)
