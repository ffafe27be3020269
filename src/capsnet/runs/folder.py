"""A run is a folder: everything that a person looks at is made from it."""

import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from torch import nn

from capsnet.errors import UserError
from capsnet.models import CapsuleModel
from capsnet.registry import did_you_mean
from capsnet.runs.config import RunConfig
from capsnet.runs.files import write_json, write_text
from capsnet.runs.hub import PREFIX, download_weights, saved_model
from capsnet.runs.imported import Imported, read_imported
from capsnet.runs.keras_files import refuse_keras
from capsnet.runs.lock import FolderLock, is_left_over, remove_left_over
from capsnet.runs.metrics import read_metrics
from capsnet.runs.pretrained import list_pretrained, pretrained_path
from capsnet.runs.rows import Rows
from capsnet.runs.typed import convert, read_json, read_typed
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
    decoder_parameters: NotRequired[int]
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Run:
    """A run's folder and configuration; a notebook displays its test error, and `capsnet.figures.show` its figures.

    Args:
        folder: `config.json`, `metrics.csv`, `weights.safetensors`, `last/`, `evaluation.json`,
            `predictions.safetensors`, `figures/`.
        config: what it computes.

    Example:
        >>> run = capsnet.Run.open("runs/quickstart")
        >>> run.metrics()
    """

    folder: Path
    config: RunConfig

    @classmethod
    def create(cls, folder: Path, config: RunConfig, environment: Mapping[str, object] | None = None) -> "Run":
        """Make the folder of a new run; see `create_locked`.

        Raises:
            UserError: the folder exists, or cannot be made.
        """
        run, lock = create_locked(folder, config, environment)
        lock.release()
        return run

    @classmethod
    def open(cls, folder: Path | str) -> "Run":
        """Open the folder of a run.

        Raises:
            UserError: no such folder, not a run's, or one from a newer version.
        """
        folder = Path(folder)
        path = folder / "config.json"
        if folder.is_file():
            refuse_keras(folder)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such run folder")
        if not path.is_file():
            raise UserError(f"{folder} is not a run folder, it has no config.json")
        try:
            return cls(folder, RunConfig.from_json(path.read_bytes()))
        except OSError as fault:
            raise UserError(f"{path} cannot be read ({fault.strerror})") from None
        except UserError as fault:
            raise UserError(f"{folder}: {fault}") from None

    @property
    def weights_path(self) -> Path:
        """The best weights on validation."""
        return self.folder / "weights.safetensors"

    @property
    def figures_folder(self) -> Path:
        """Where figures go."""
        return self.folder / "figures"

    def load_model(self, model: nn.Module | None = None) -> CapsuleModel:
        """The model with the run's best weights, in eval mode.

        Args:
            model: of a run that trained an object: an object of the same class, which takes the weights.

        Raises:
            UserError: the run has none yet, or it trained an object and none is given.
        """
        if not self.weights_path.is_file():
            raise UserError(f"{self.folder} has no weights yet; go on with capsnet train --resume {self.folder}")
        return load_weights(self.weights_path, model)

    def metrics(self) -> Rows:
        """The rows of `metrics.csv`; a cell that is empty there is missing here, and so is a line cut off by a kill."""
        path = self.folder / "metrics.csv"
        return Rows(read_metrics(path)) if path.is_file() else Rows()

    def evaluation(self) -> RunResult | None:
        """What `evaluation.json` holds, or None before the end of the run.

        The test of a run that was made longer afterwards is not its result: its step is not the last of the metrics.

        Raises:
            UserError: a file that is damaged; the entry is named.
        """
        path = self.folder / "evaluation.json"
        if not path.is_file():
            return None
        result: RunResult = read_typed(path, RunResult)
        for part in (result["test"], result["test_last"]):
            _check_split(part, path)
        rows = self.metrics()
        return None if rows and rows[-1]["step"] != result["step"] else result

    def environment(self) -> dict[str, object] | None:
        """What `environment.json` holds.

        Raises:
            UserError: a file that is damaged.
        """
        path = self.folder / "environment.json"
        if not path.is_file():
            return None
        return cast(dict[str, object], convert(read_json(path), Mapping[str, object], str(path)))

    def imported(self) -> Imported | None:
        """Where its weights come from, where they were imported; None: it was trained.

        Raises:
            UserError: a record that is damaged.
        """
        return read_imported(self.folder)

    def explain_missing_result(self) -> tuple[str, str]:
        """Why there is no test result, in words, and the command that gives one."""
        imported, folder = self.imported(), shlex.quote(str(self.folder))
        if imported is not None:
            return f"imported from {imported.source}, not tested here; test it with", f"capsnet evaluate {folder}"
        return "not finished, no test result yet; continue with", f"capsnet train --resume {folder}"

    def _repr_html_(self) -> str:
        lines = [
            f"<b>{escape(self.folder.resolve().name)}</b>: {escape(self.config.model.name)} "
            f"on {escape(self.config.data.name)}"
        ]
        result = self.evaluation()
        if result is None:
            words, command = self.explain_missing_result()
            lines.append(f"{escape(words)} <code>{escape(command)}</code>")
        else:
            test = result["test"]
            noun = "pairs" if "digit_error_percent" in test else "images"
            lines.append(
                f"test error <b>{test['error_percent']:.2f} %</b> of {test['n']:,} {noun}, trained "
                f"{result['seconds']:,.0f} s, {result['step']:,} steps"
            )
        return f"<div>{'<br>'.join(lines)}</div>"


def create_locked(
    folder: Path,
    config: RunConfig,
    environment: Mapping[str, object] | None = None,
    *,
    numbered: bool = False,
    fill: Callable[[Path], None] | None = None,
) -> tuple[Run, FolderLock]:
    """Make the folder of a new run, which appears with all that it holds at once, or not at all.

    Args:
        folder: that is not there, or left over from a process that was killed before it had written anything of value.
        config: what the run computes.
        environment: on what; for `environment.json`.
        numbered: where the folder exists, take the next name that is free: `new_folder`.
        fill: writes further files into the folder, before it has its name.

    Returns:
        The run, and its lock, which this process holds.

    Raises:
        UserError: the folder exists, or cannot be made.
    """
    root, name = folder.parent, folder.name
    part = root / f".{name}.{secrets.token_hex(4)}.part"
    try:
        part.mkdir(parents=True)
    except OSError as fault:
        raise UserError(f"{folder} cannot be made ({fault.strerror})") from None
    lock = None
    try:
        lock = FolderLock(part, folder)
        write_text(part / "config.json", config.to_json())
        if environment is not None:
            write_json(part / "environment.json", environment)
        if fill is not None:
            fill(part)
        while not _give_name(part, folder):
            if not numbered:
                check_new(folder)
            folder = new_folder(name, root)
    except BaseException:
        if lock is not None:
            lock.release()
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Run(folder, config), lock


def _give_name(part: Path, folder: Path) -> bool:
    """Rename a folder, in one step, unless another has the name."""
    try:
        if is_left_over(folder):
            remove_left_over(folder)
        # fails where a folder that holds anything has the name
        part.rename(folder)
    except OSError as fault:
        if not os.path.lexists(folder):
            raise UserError(f"{folder} cannot be made ({fault.strerror})") from None
        return False
    return True


def check_new(folder: Path) -> None:
    """Refuse a folder that exists: nothing is overwritten.

    Raises:
        UserError: it exists, and is not one that a killed process left over.
    """
    if os.path.lexists(folder) and not is_left_over(folder):
        raise UserError(f"{folder} exists; give another `out`, or go on with resume={folder}")


def new_folder(name: str, root: Path = Path("runs")) -> Path:
    """`runs/name`, or `runs/name-2` and so on where that exists."""
    folder, number = root / name, 1
    while os.path.lexists(folder):
        number += 1
        folder = root / f"{name}-{number}"
    return folder


def load(source: Path | str, *, model: nn.Module | None = None) -> CapsuleModel:
    """Load a trained model, in eval mode on the CPU.

    Args:
        source: a run folder, a weights file, a folder that `save_pretrained` made, `hf:owner/name` of a model on the
            Hugging Face Hub (`hf:owner/name@revision`), or the name of weights that come with the package. A folder or
            file of that name goes before the name; `./name` is always a path.
        model: takes the weights, where they are those of a class of your own.

    Returns:
        The model, with its class names, and how images become its inputs.

    Raises:
        UserError: none of these, or weights that do not fit.

    Example:
        >>> load("efficient-capsnet-mnist").class_names[7]
        '7'
    """
    if is_run_folder(source):
        return Run.open(source).load_model(model)
    return load_weights(find_weights(source), model)


def is_run_folder(source: Path | str) -> bool:
    """Whether this is a folder, and not one that `save_pretrained` made."""
    path = Path(source)
    return path.is_dir() and saved_model(path) is None


def open_model(source: CapsuleModel | Run | Path | str) -> tuple[CapsuleModel, Run | None]:
    """A model that was given as it is, by its run, or as `load` takes it; and its run, where that is known.

    Raises:
        UserError: as `load`, or something else, such as a module that is no model.
    """
    if isinstance(source, CapsuleModel):
        return source, None
    if isinstance(source, str | Path) and is_run_folder(source):
        source = Run.open(source)
    if isinstance(source, Run):
        return source.load_model(), source
    if not isinstance(source, str | Path):
        raise UserError(
            f"model must be a CapsuleModel, a run, a file or a name, got {type(source).__name__}; of a network that "
            "capsnet trained give run.load_model(module)"
        )
    return load(source), None


def locate_weights(source: str) -> str:
    """The name of weights that means the same from any working directory: of a folder or file, its absolute path."""
    return str(Path(source).absolute()) if Path(source).exists() else source


def find_weights(source: Path | str) -> Path:
    """The weights file of a source as `load` takes it.

    Raises:
        UserError: none of these, or a run without weights.
    """
    path = Path(source)
    if path.is_dir():
        saved = saved_model(path)
        if saved is not None:
            return saved
        run = Run.open(path)
        if not run.weights_path.is_file():
            raise UserError(f"{run.folder} has no weights yet; go on with capsnet train --resume {run.folder}")
        return run.weights_path
    if path.is_file():
        refuse_keras(path)
        return path
    if str(source).startswith(PREFIX):
        return download_weights(str(source).removeprefix(PREFIX))
    shipped = pretrained_path(str(source))
    if shipped is not None:
        return shipped
    known = list_pretrained()
    hint = did_you_mean(str(source), known)
    held = f"{'Weights' if hint else 'weights'} in the package: {', '.join(known)}"
    raise UserError(f"{source}: no such run folder or weights file;{hint} {held}")


def _check_split(result: SplitResult, path: Path) -> None:
    """Refuse numbers that no test gives."""
    table, classes = result["confusion"], len(result["confusion"])
    if result["n"] < 1 or not 0 <= result["accuracy"] <= 1:
        raise UserError(f"{path}: {result['n']} images and an accuracy of {result['accuracy']} are not those of a test")
    if not classes or any(len(row) != classes or min(row) < 0 for row in table):
        raise UserError(f"{path}: the entry 'confusion' must be a square table of counts")
