"""Training and test accuracy after given epochs of a run, for tables whose source reports them.

A run is trained in stages. Each stage resumes from the last checkpoint and ends with a test, so the weights at each
epoch equal those of a run without stages, bit for bit. The test accuracies choose nothing.
"""

from pathlib import Path
from typing import TypedDict

from capsnet.runs import Run
from capsnet.runs.config import RunConfig
from capsnet.runs.files import write_json
from capsnet.runs.options import keep_decided
from capsnet.runs.typed import read_typed
from capsnet.training import train

_FILE = "milestones.json"


class Milestone(TypedDict):
    """Accuracies of a run after some epochs, as shares.

    `train_accuracy` is the mean over the batches of that epoch, while the weights change.
    """

    epochs: int
    train_accuracy: float
    test_accuracy: float
    seconds: float


class _Milestones(TypedDict):
    """The content of `milestones.json`."""

    milestones: list[Milestone]


def train_in_stages(folder: Path, config: RunConfig, stages: tuple[int, ...]) -> Run:
    """Train to the end of each stage, or resume a run that was stopped in one.

    Args:
        folder: the run's folder, new or of a run that was stopped.
        config: configuration of the whole run; its epochs are those of the last stage.
        stages: epochs after which the run is tested, ascending.
    """
    milestones = read_milestones(folder)
    reached = milestones[-1]["epochs"] if milestones else 0
    for epochs in stages:
        if epochs <= reached:
            continue
        stage = config.change(epochs=epochs)
        if folder.exists():
            run = train(keep_decided(Run.open(folder).config, stage), resume=folder)
        else:
            run = train(stage, out=folder)
        milestones.append(_measure(run, epochs))
        write_json(folder / _FILE, {"milestones": milestones})
    return Run.open(folder)


def read_milestones(folder: Path) -> list[Milestone]:
    """The milestones that a run has reached, in order; empty for a run without stages.

    Raises:
        UserError: `milestones.json` is damaged.
    """
    path = folder / _FILE
    return read_typed(path, _Milestones)["milestones"] if path.is_file() else []


def _measure(run: Run, epochs: int) -> Milestone:
    result = run.evaluation()
    assert result is not None
    rows = [row for row in run.metrics() if epochs - 1 < row["epoch"] <= epochs]
    # a row of metrics.csv is the mean over the steps since the previous row
    starts = [(epochs - 1) * rows[0]["step"] / rows[0]["epoch"], *(row["step"] for row in rows[:-1])]
    steps = [row["step"] - start for row, start in zip(rows, starts, strict=True)]
    accuracy = sum(row["accuracy"] * count for row, count in zip(rows, steps, strict=True)) / sum(steps)
    return {
        "epochs": epochs,
        "train_accuracy": accuracy,
        "test_accuracy": result["test_last"]["accuracy"],
        "seconds": result["seconds"],
    }
