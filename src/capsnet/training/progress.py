"""What a person sees while a run goes on: a live bar on a terminal, a plain log elsewhere. Always on standard error."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


Row = Mapping[str, float]
_LOG_SECONDS = 10.0


class Reporter:
    """Shows rows of metrics as they come.

    Args:
        total_steps: steps of the whole run.
        steps_per_epoch: steps of an epoch.
        step: steps done before.
    """

    def __init__(self, total_steps: int, steps_per_epoch: int, step: int = 0) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._total, self._per_epoch = total_steps, steps_per_epoch
        self._epochs = -(-total_steps // steps_per_epoch)
        self._started, self._first_step, self._logged = time.monotonic(), step, 0.0
        self._bar: Progress | None = None
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[numbers]}"))
            self._bar = Progress(*columns, TimeRemainingColumn(), console=self._console)
            self._task = self._bar.add_task("epoch 1", total=total_steps, completed=step, numbers="")
            self._bar.start()

    def row(self, row: Row) -> None:
        """Show a row of metrics."""
        step = int(row["step"])
        epoch = min((step - 1) // self._per_epoch + 1, self._epochs)
        numbers = f"loss {row['loss']:.4f}  accuracy {row['accuracy']:.2%}  {row['images_per_second']:,.0f} images/s"
        validated = "validation_accuracy" in row
        if validated:
            numbers += f"  validation {row['validation_accuracy']:.2%}"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=f"epoch {epoch}/{self._epochs}", numbers=numbers)
            if validated:
                self._bar.console.print(f"epoch {epoch}/{self._epochs}  {numbers}")
        elif validated or time.monotonic() - self._logged > _LOG_SECONDS:
            self._logged = time.monotonic()
            self._console.print(
                f"epoch {epoch}/{self._epochs}  step {step}/{self._total}  {numbers}  {self._left(step)}"
            )

    def close(self) -> None:
        """Give the terminal back."""
        if self._bar is not None:
            self._bar.stop()

    def _left(self, step: int) -> str:
        seconds = (time.monotonic() - self._started) / max(step - self._first_step, 1) * (self._total - step)
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"
