"""A run is a folder: everything that a person looks at is made from it."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from torch import nn

from capsnet.errors import UserError
from capsnet.registry import did_you_mean
from capsnet.runs.config import RunConfig
from capsnet.runs.files import write_text
from capsnet.runs.pretrained import list_pretrained, pretrained_path
from capsnet.runs.rows import Rows
from capsnet.runs.show import VIEWS, Picture, Pictures, View
from capsnet.runs.weights import load_weights


class FileResult(TypedDict):
    """What a model answered for an image file: indices of the true and the predicted class, and all lengths."""

    file: str
    label: int
    prediction: int
    lengths: list[float]


class SplitResult(TypedDict):
    """How a model did on a split: what `capsnet evaluate --json` prints; `evaluation.json` lists `mistakes` only."""

    data: str
    split: str
    n: int
    accuracy: float
    error_percent: float
    margin_loss: float
    reconstruction_mse: float | None
    confusion: list[list[int]]
    balanced_accuracy: NotRequired[float]
    digit_error_percent: NotRequired[float]
    class_names: NotRequired[list[str]]
    files: NotRequired[list[FileResult]]
    mistakes: NotRequired[list[FileResult]]


class ValidationResult(TypedDict):
    """How the best weights did on validation."""

    n: int
    accuracy: float
    margin_loss: float


class RunResult(TypedDict):
    """What `evaluation.json` holds: the best weights and the last ones on the test split, and how it was trained."""

    test: SplitResult
    test_last: SplitResult
    validation: NotRequired[ValidationResult]
    best_step: int
    step: int
    parameters: NotRequired[int]
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Run:
    """A run's folder and configuration; a notebook displays its result and its learning curves.

    Args:
        folder: `config.json`, `metrics.csv`, `weights.safetensors`, `last/`, `evaluation.json`, `figures/`.
        config: what it computes.

    Example:
        >>> run = capsnet.Run.open("runs/quickstart")
        >>> run.figure("reconstructions")
    """

    folder: Path
    config: RunConfig

    @classmethod
    def create(cls, folder: Path, config: RunConfig) -> "Run":
        """Make the folder of a new run.

        Raises:
            UserError: the folder exists, or cannot be made.
        """
        check_new(folder)
        try:
            folder.mkdir(parents=True)
        except OSError as fault:
            raise UserError(f"{folder}: cannot be made ({fault.strerror})") from None
        write_text(folder / "config.json", config.to_json())
        return cls(folder, config)

    @classmethod
    def open(cls, folder: Path | str) -> "Run":
        """Open the folder of a run.

        Raises:
            UserError: no such folder, not a run's, or one from a newer version.
        """
        folder = Path(folder)
        path = folder / "config.json"
        if not folder.is_dir():
            raise UserError(f"{folder}: no such run folder")
        if not path.is_file():
            raise UserError(f"{folder}: is not a run folder, it has no config.json")
        try:
            return cls(folder, RunConfig.from_json(path.read_text()))
        except json.JSONDecodeError as fault:
            raise UserError(f"{path}: is not JSON ({fault})") from None
        except (UserError, TypeError) as fault:
            raise UserError(f"{folder}: {fault}") from None

    @property
    def weights_path(self) -> Path:
        """The best weights on validation."""
        return self.folder / "weights.safetensors"

    @property
    def figures_folder(self) -> Path:
        """Where figures go."""
        return self.folder / "figures"

    def load_model(self) -> nn.Module:
        """The model with the run's best weights, in eval mode.

        Raises:
            UserError: the run has none yet.
        """
        if not self.weights_path.is_file():
            raise UserError(f"{self.folder}: has no weights yet; go on with capsnet train --resume {self.folder}")
        return load_weights(self.weights_path)

    def metrics(self) -> Rows:
        """The rows of `metrics.csv`; a cell that is empty there is missing here, and so is a line cut off by a kill."""
        path = self.folder / "metrics.csv"
        if not path.is_file():
            return Rows()
        text = path.read_text()
        whole = text[: text.rfind("\n") + 1]
        rows = csv.DictReader(io.StringIO(whole))
        return Rows({name: float(value) for name, value in row.items() if value} for row in rows)

    def evaluation(self) -> RunResult | None:
        """What `evaluation.json` holds, or None before the end of the run."""
        text = self._read("evaluation.json")
        if text is None:
            return None
        result: RunResult = json.loads(text)
        return result

    def environment(self) -> dict[str, object] | None:
        """What `environment.json` holds."""
        text = self._read("environment.json")
        if text is None:
            return None
        environment: dict[str, object] = json.loads(text)
        return environment

    def figures(self) -> Pictures:
        """All figures that the run's state allows, by name, each drawn when it is first asked for.

        What cannot be drawn, for want of data for instance, is named on standard error.
        """
        return self._view().pictures()

    def figure(self, name: str) -> Picture:
        """One of `figures()`, drawn from the run's folder.

        Raises:
            UserError: unknown name, or a figure that cannot be drawn.
        """
        return self.figures().find(name)

    def report(self, *, overwrite: bool = False) -> Path:
        """Draw all figures and write `report.html`; returns where it is.

        Raises:
            UserError: there is a report already, or the run holds nothing to show.
        """
        return self._view().report(overwrite=overwrite)

    def _repr_html_(self) -> str:
        return self._view().summary()

    def _view(self) -> View:
        return VIEWS.get("figures")(self.folder)

    def _read(self, name: str) -> str | None:
        """The text of a JSON file of the run, or None where there is none."""
        path = self.folder / name
        if not path.is_file():
            return None
        text = path.read_text()
        try:
            json.loads(text)
        except json.JSONDecodeError as fault:
            raise UserError(f"{path}: is not JSON ({fault})") from None
        return text


def check_new(folder: Path) -> None:
    """Refuse a folder that exists: nothing is overwritten.

    Raises:
        UserError: it exists.
    """
    if folder.exists():
        raise UserError(f"{folder}: exists; give another --out, or go on with --resume {folder}")


def new_folder(name: str, root: Path = Path("runs")) -> Path:
    """`runs/name`, or `runs/name-2` and so on where that exists."""
    folder, number = root / name, 1
    while folder.exists():
        number += 1
        folder = root / f"{name}-{number}"
    return folder


def load(source: Path | str) -> nn.Module:
    """Load a trained model, in eval mode on the CPU.

    Args:
        source: a run folder, a weights file, or the name of weights that come with the package. A folder or file of
            that name goes before the name; `./name` is always a path.

    Returns:
        The model, with `.class_names` and `.input_shape`.

    Raises:
        UserError: none of the three, or weights that do not fit.

    Example:
        >>> load("efficient-capsnet-mnist").class_names[7]
        '7'
    """
    path = Path(source)
    if path.is_dir():
        return Run.open(path).load_model()
    if path.is_file():
        return load_weights(path)
    shipped = pretrained_path(str(source))
    if shipped is not None:
        return load_weights(shipped)
    known = list_pretrained()
    hint = did_you_mean(str(source), known)
    raise UserError(f"{source}: no such run folder or weights file;{hint} Weights in the package: {', '.join(known)}")
