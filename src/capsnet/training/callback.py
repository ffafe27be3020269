"""Callbacks: what the user's own code is told while a run goes on, as plain data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from capsnet.errors import UserError
from capsnet.runs.folder import RunResult


@dataclass(frozen=True)
class Start:
    """What a run sets out to do.

    Args:
        folder: of the run.
        config: its configuration, as in `config.json`.
        step: steps done before; above 0 where a run is resumed.
        total_steps: of the whole run.
        steps_per_epoch: of an epoch.
    """

    folder: Path
    config: Mapping[str, object]
    step: int
    total_steps: int
    steps_per_epoch: int


@dataclass(frozen=True)
class Validation:
    """How the network does on the images that were held out.

    Args:
        step: steps done.
        epoch: the same in passes over the training images.
        n: number of images held out.
        accuracy: share of them that is right.
        loss: margin loss, or the loss that the model is trained by.
        improved: these weights are the best so far, and were kept.
        draw: draws some of the images above what the network makes of them, as a picture of bytes `h w c`; None where
            it has no decoder. It runs the network, so it costs something when it is called, and nothing when not.
    """

    step: int
    epoch: float
    n: int
    accuracy: float
    loss: float
    improved: bool
    draw: Callable[[], UInt8[np.ndarray, "h w c"] | None]


class Callback:
    """Follows a run; override what you need, each method does nothing here.

    Methods are called where the loop has read its numbers from the device anyway: about once a second, and after each
    epoch. Several rows may then come one after the other, in order, none twice and none left out.

    A method that returns True ends the run there: it is validated, saved and tested as at its end, and `resume` goes on
    to its length. A method that fails ends the run too, with its state saved, so that it can be resumed.

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
        """After an epoch, where images are held out."""

    def on_end(self, result: RunResult | None) -> None:
        """After the test, with what `evaluation.json` holds; None where the run was stopped or failed before."""


class CallbackError(UserError):
    """A callback failed; the run's state is saved."""


class Callbacks:
    """All callbacks of a run, told one after the other.

    Args:
        members: the callbacks.
        folder: of the run, for messages.

    Raises:
        UserError: something that is no callback.
    """

    def __init__(self, members: Sequence[Callback], folder: Path) -> None:
        for member in members:
            if not isinstance(member, Callback):
                got = f"the class {member.__name__}" if isinstance(member, type) else repr(member)
                raise UserError(f"callbacks must be objects of a class derived from capsnet.Callback, got {got}")
        self._members, self.folder = tuple(members), folder
        self.stop, self._ended = False, False

    def start(self, start: Start) -> None:
        """Tell all that the run begins."""
        for member in self._members:
            self._tell(member, "on_start", start)

    def row(self, row: Mapping[str, float]) -> None:
        """Tell all about a row; each gets a copy of its own."""
        for member in self._members:
            self._tell(member, "on_row", dict(row))

    def validation(self, validation: Validation) -> None:
        """Tell all about a validation."""
        for member in self._members:
            self._tell(member, "on_validation", validation)

    def end(self, result: RunResult | None) -> None:
        """Tell all that the run is over, also those behind one that fails; the first failure is raised then."""
        self._ended = result is not None
        faults = []
        for member in self._members:
            try:
                self._tell(member, "on_end", result)
            except CallbackError as fault:
                faults.append(fault)
        if faults:
            raise faults[0]

    def _tell(self, member: Callback, method: str, value: object) -> None:
        name = f"callback {type(member).__name__}: its {method}"
        go_on = f"the run is saved; go on with capsnet train --resume {self.folder}"
        if self._ended:
            go_on = f"the run is finished, and whole in {self.folder}"
        try:
            answer: object = getattr(member, method)(value)
        except Exception as fault:
            raise CallbackError(f"{name} failed with {type(fault).__name__}: {fault}; {go_on}") from fault
        if not isinstance(answer, bool | np.bool_ | None):
            raise CallbackError(f"{name} must return True, to end the run, or None, got {answer!r}; {go_on}")
        self.stop = self.stop or bool(answer)
