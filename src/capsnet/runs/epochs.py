"""The epochs of a run: training and validation loss and accuracy, from the rows of `metrics.csv`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Row = Mapping[str, float]
HEAD = (
    f"{'':>9}{'training':>18}{'validation':>22}",
    f"{'epoch':>9}{'loss':>10}{'accuracy':>11}{'loss':>11}{'accuracy':>11}{'time':>11}",
)
"""The heading of the table whose rows `Epoch.line` makes."""


@dataclass(frozen=True)
class Epoch:
    """One epoch; the last one may be incomplete.

    Args:
        number: from 1.
        step: completed steps at its end.
        loss: class loss, mean over its training images, without the reconstruction loss.
        accuracy: training accuracy, measured during the epoch.
        validation_loss: class loss on the validation images; None without such images.
        validation_accuracy: accuracy on the validation images.
        seconds: training time since the start of the run.
    """

    number: int
    step: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float

    def line(self, total: int, mark: str = "") -> str:
        """A line of text under `HEAD`, of at most 80 columns.

        Args:
            total: epochs of the whole run.
            mark: a word at the end, of at most 12 letters.
        """
        text = f"{f'{self.number}/{total}':>9}{self.loss:>10.4f}{100 * self.accuracy:>9.2f} %"
        if self.validation_loss is None or self.validation_accuracy is None:
            text += f"{'–':>11}{'–':>11}"
        else:
            text += f"{self.validation_loss:>11.4f}{100 * self.validation_accuracy:>9.2f} %"
        return f"{text}{clock(self.seconds):>11}  {mark}".rstrip()


def clock(seconds: float) -> str:
    """A time as minutes and seconds, or hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def sum_epoch(rows: Sequence[Row], number: int, images_before: float = 0.0) -> Epoch:
    """Combine the rows of one epoch, weighted by their numbers of images.

    Args:
        rows: at least one, in order.
        number: of the epoch, from 1.
        images_before: images trained on before them.
    """
    ends = [images_before, *(_images(row) for row in rows)]
    weights = [max(after - before, 0.0) for before, after in pairwise(ends)]
    total = sum(weights)
    if total <= 0:
        weights, total = [1.0] * len(rows), float(len(rows))
    last = rows[-1]
    loss, accuracy = (
        sum(weight * row[name] for weight, row in zip(weights, rows, strict=True)) / total
        for name in ("margin_loss", "accuracy")
    )
    return Epoch(
        number=number,
        step=int(last["step"]),
        loss=loss,
        accuracy=accuracy,
        validation_loss=last.get("validation_loss"),
        validation_accuracy=last.get("validation_accuracy"),
        seconds=last["seconds"],
    )


def read_epochs(rows: Sequence[Row]) -> list[Epoch]:
    """The epochs of a run; the last epoch of a stopped run may be incomplete."""
    epochs, before = [], 0.0
    for number, epoch_rows in _by_epoch(rows):
        epochs.append(sum_epoch(epoch_rows, number, before))
        before = _images(epoch_rows[-1])
    return epochs


def find_best(epochs: Sequence[Epoch], best_step: int | None) -> Epoch | None:
    """The epoch with the best validation result, whose weights were kept; None without validation.

    Args:
        epochs: of a run.
        best_step: from its result; None if the run is not finished: use the best validation so far.
    """
    validated = [epoch for epoch in epochs if epoch.validation_loss is not None]
    if best_step is not None:
        return next((epoch for epoch in validated if epoch.step == best_step), None)
    return max(
        validated, key=lambda epoch: (epoch.validation_accuracy or 0, -(epoch.validation_loss or 0)), default=None
    )


def table(epochs: Sequence[Epoch], best_step: int | None = None) -> list[str]:
    """Lines of text, two of them heading; the epoch whose weights were kept is marked."""
    best = find_best(epochs, best_step)
    total = epochs[-1].number if epochs else 0
    return [*HEAD, *(epoch.line(total, "kept" if epoch is best else "") for epoch in epochs)]


def _by_epoch(rows: Sequence[Row]) -> Iterator[tuple[int, list[Row]]]:
    epoch_rows: list[Row] = []
    for row in rows:
        # an epoch ends with its validation, or with its last step
        epoch_rows.append(row)
        if "validation_loss" in row or abs(row["epoch"] - round(row["epoch"])) < 1e-6:
            yield _number(row), epoch_rows
            epoch_rows = []
    if epoch_rows:
        yield _number(epoch_rows[-1]), epoch_rows


def _number(row: Row) -> int:
    """The epoch in which a row ends."""
    return max(1, int(row["epoch"] - 1e-6) + 1)


def _images(row: Row) -> float:
    """Images trained on from the start of the run to the end of a row."""
    return float(round(row["images_per_second"] * row["seconds"]))
