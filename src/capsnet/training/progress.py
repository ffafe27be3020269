"""Progress display of a run: a live bar on a terminal or in a notebook, a plain log elsewhere.

Bar and log are written to standard error.
"""

import contextlib
import html
import importlib
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from capsnet.runs.epochs import HEAD, Epoch, clock, sum_epoch

Row = Mapping[str, float]
_LOG_SECONDS = 10.0
# the displayed speed is an average over this many seconds of training
_SPEED_SECONDS = 30.0
# a notebook shows this many epochs, and is redrawn at most at this interval
_LINES = 12
_DRAW_SECONDS = 0.2


@dataclass(frozen=True)
class Moment:
    """The progress of a run.

    Args:
        step: completed steps.
        total: steps of the whole run.
        epoch: such as `epoch 2/20`.
        numbers: loss, accuracy and speed as text.
        left: remaining time as text.
        line: a row of the table of epochs, if an epoch ended here.
    """

    step: int
    total: int
    epoch: str
    numbers: str
    left: str
    line: str | None = None


@runtime_checkable
class Display(Protocol):
    """Shows the progress of a run."""

    def show(self, moment: Moment) -> None: ...

    def close(self) -> None: ...


class Reporter:
    """Shows rows of metrics.

    Args:
        total_steps: steps of the whole run.
        steps_per_epoch: steps of an epoch.
        step: completed steps of a resumed run.
        before: earlier rows of a resumed run; those of its unfinished epoch count towards that epoch.
        silent: show nothing.
    """

    def __init__(
        self, total_steps: int, steps_per_epoch: int, step: int = 0, before: Sequence[Row] = (), *, silent: bool = False
    ) -> None:
        self._total, self._per_epoch = total_steps, steps_per_epoch
        epoch_start = step // steps_per_epoch * steps_per_epoch
        self._rows = [row for row in before if row["step"] > epoch_start]
        ended = [row for row in before if row["step"] <= epoch_start]
        self._images = _images(ended[-1]) if ended else 0.0
        self._recent = deque([(before[-1]["seconds"], _images(before[-1])) if before else (0.0, 0.0)])
        self._epochs = -(-total_steps // steps_per_epoch)
        self._started, self._first_step = time.monotonic(), step
        self._display = _Nothing() if silent else _find_display(total_steps, step)

    def row(self, row: Row) -> None:
        """Show a row of metrics."""
        step = int(row["step"])
        epoch = min((step - 1) // self._per_epoch + 1, self._epochs)
        numbers = f"loss {row['loss']:.4f}  accuracy {100 * row['accuracy']:.2f} %  {self._speed(row):,.0f} images/s"
        self._rows.append(row)
        line = None
        if "validation_accuracy" in row or step % self._per_epoch == 0 or step == self._total:
            line = self._end_epoch(epoch).line(self._epochs)
        moment = Moment(step, self._total, f"epoch {epoch}/{self._epochs}", numbers, self._left(step), line)
        try:
            self._display.show(moment)
        except OSError:
            # the terminal is closed, or the disk of the log is full: continue and save the run without a display
            self._display = _Nothing()

    def _end_epoch(self, number: int) -> Epoch:
        epoch = sum_epoch(self._rows, number, self._images)
        last = self._rows[-1]
        self._rows, self._images = [], _images(last)
        return epoch

    def _speed(self, row: Row) -> float:
        """Recent images per second; a resumed run may be on another machine than before."""
        self._recent.append((row["seconds"], _images(row)))
        while len(self._recent) > 2 and row["seconds"] - self._recent[1][0] > _SPEED_SECONDS:
            self._recent.popleft()
        seconds, images = self._recent[0]
        return (_images(row) - images) / max(row["seconds"] - seconds, 1e-9)

    def close(self) -> None:
        """Release the terminal."""
        with contextlib.suppress(OSError):
            self._display.close()

    def _left(self, step: int) -> str:
        seconds = (time.monotonic() - self._started) / max(step - self._first_step, 1) * (self._total - step)
        return f"{clock(seconds)} left"


def _images(row: Row) -> float:
    """Images trained on since the start of the run."""
    return row["images_per_second"] * row["seconds"]


def _find_display(total: int, step: int) -> Display:
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    # rich would need ipywidgets there
    if console.is_jupyter:
        return Notebook()
    if console.is_terminal:
        return _Bar(total, step)
    return _Log(console.print)


class _Bar:
    """A live bar on a terminal, below the table of epochs."""

    def __init__(self, total: int, step: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[numbers]}"))
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress = Progress(*columns, TimeRemainingColumn(), console=console)
        self._task = self._progress.add_task("epoch 1", total=total, completed=step, numbers="")
        self._headed = False
        self._progress.start()

    def show(self, moment: Moment) -> None:
        self._progress.update(self._task, completed=moment.step, description=moment.epoch, numbers=moment.numbers)
        if moment.line is not None:
            for line in (moment.line,) if self._headed else (*HEAD, moment.line):
                self._progress.console.print(line, markup=False)
            self._headed = True

    def close(self) -> None:
        # a full bar would look like a hang during the test
        self._progress.remove_task(self._task)
        self._progress.stop()


class _Log:
    """A line for each epoch, under a heading; in long epochs, also a line every few seconds."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write, self._logged, self._headed = write, 0.0, False

    def show(self, moment: Moment) -> None:
        if moment.line is not None:
            for line in (moment.line,) if self._headed else (*HEAD, moment.line):
                self._write(line)
            self._headed = True
        elif time.monotonic() - self._logged > _LOG_SECONDS:
            self._write(f"{moment.epoch}  step {moment.step}/{moment.total}  {moment.numbers}  {moment.left}")
        else:
            return
        self._logged = time.monotonic()

    def close(self) -> None:
        pass


class _Nothing:
    """Shows nothing."""

    def show(self, moment: Moment) -> None:
        pass

    def close(self) -> None:
        pass


class Notebook:
    """One output in a notebook, updated in place: a bar with the last epochs below it."""

    def __init__(self) -> None:
        # imported here: only notebooks need it, and they have it installed
        display = importlib.import_module("IPython.display").display
        self._lines: list[str] = []
        self._drawn, self._pending = 0.0, ""
        self._handle = display({"text/plain": "capsnet: training"}, raw=True, display_id=True)

    def show(self, moment: Moment) -> None:
        """Redraw the bar, unless it was drawn within the last fraction of a second: rows come in bursts."""
        text = f"{moment.epoch}  step {moment.step:,} of {moment.total:,}  {moment.left}"
        if moment.line is not None:
            self._lines.append(moment.line)
        else:
            text += f"\n{moment.numbers}"
        head = HEAD if self._lines else ()
        text = html.escape("\n".join([text, *head, *reversed(self._lines[-_LINES:])]))
        bar = f'<progress value="{moment.step}" max="{moment.total}" style="width:24rem"></progress>'
        self._pending = f'{bar}<pre style="margin:0;white-space:pre-wrap">{text}</pre>'
        if time.monotonic() - self._drawn > _DRAW_SECONDS:
            self._draw()

    def close(self) -> None:
        """Leave the last state on display."""
        if self._pending:
            self._draw()

    def _draw(self) -> None:
        self._handle.update({"text/html": self._pending, "text/plain": "capsnet: training"}, raw=True)
        self._drawn, self._pending = time.monotonic(), ""
