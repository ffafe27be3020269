"""The folder of a run, from which all results, figures and reports are made."""

import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import cast

from torch import nn

from capsnet.errors import UserError
from capsnet.models import CapsuleModel
from capsnet.models.eval_mode import eval_mode
from capsnet.registry import did_you_mean
from capsnet.runs.config import RunConfig
from capsnet.runs.files import write_json, write_text
from capsnet.runs.hub import PREFIX, download_weights, saved_model
from capsnet.runs.imported import Imported, read_imported
from capsnet.runs.keras_files import refuse_keras
from capsnet.runs.lock import FolderLock, is_left_over, remove_left_over
from capsnet.runs.metrics import read_metrics
from capsnet.runs.pretrained import list_pretrained, pretrained_path
from capsnet.runs.results import FileResult as FileResult
from capsnet.runs.results import RunResult as RunResult
from capsnet.runs.results import SplitResult as SplitResult
from capsnet.runs.results import ValidationResult as ValidationResult
from capsnet.runs.results import refuse_masks
from capsnet.runs.rows import Rows
from capsnet.runs.typed import convert, read_json, read_typed
from capsnet.runs.weights import load_weights, read_spec


@dataclass(frozen=True)
class Run:
    """A run's folder and configuration; a notebook displays its test error, and `capsnet.figures.show` its figures.

    Args:
        folder: `config.json`, `metrics.csv`, `weights.safetensors`, `last/`, `evaluation.json`,
            `predictions.safetensors`, `figures/`.
        config: the run's configuration.

    Example:
        >>> run = capsnet.Run.open("runs/quickstart")
        >>> run.metrics()
    """

    folder: Path
    config: RunConfig

    @classmethod
    def create(cls, folder: Path, config: RunConfig, environment: Mapping[str, object] | None = None) -> "Run":
        """Create the folder of a new run; see `create_locked`.

        Raises:
            UserError: the folder exists, or cannot be created.
        """
        run, lock = create_locked(folder, config, environment)
        lock.release()
        return run

    @classmethod
    def open(cls, folder: Path | str) -> "Run":
        """Open the folder of a run.

        Raises:
            UserError: no such folder, not a run folder, or one from a newer version.
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
        """File of the best weights on validation."""
        return self.folder / "weights.safetensors"

    @property
    def figures_folder(self) -> Path:
        """Folder of the figures."""
        return self.folder / "figures"

    def load_model(self, model: nn.Module | None = None) -> CapsuleModel:
        """The model with the run's best weights, in eval mode.

        Args:
            model: if the run trained an object: an object of the same class, to receive the weights.

        Raises:
            UserError: the run has no weights yet, it trained an object and `model` is missing, or the weights are those
                of another network than its configuration.
        """
        if not self.weights_path.is_file():
            raise UserError(f"{self.folder} has no weights yet; go on with capsnet train --resume {self.folder}")
        stored = read_spec(self.weights_path).model
        if stored != self.config.model.name:
            raise UserError(
                f"{self.weights_path} holds weights of {stored}, the run's config.json describes "
                f"{self.config.model.name}: the file was exchanged; put the run's own back, or give the file itself"
            )
        return load_weights(self.weights_path, model)

    def metrics(self) -> Rows:
        """The rows of `metrics.csv`, without empty cells and without a line that was cut off."""
        path = self.folder / "metrics.csv"
        return Rows(read_metrics(path)) if path.is_file() else Rows()

    def evaluation(self) -> RunResult | None:
        """The contents of `evaluation.json`; None before the end of the run.

        If a run was extended after its test, the old test is not its result: its step is not the last of the metrics.

        Raises:
            UserError: the file is damaged; the message names the entry. Or the run segments images.
        """
        path = self.folder / "evaluation.json"
        if not path.is_file():
            return None
        refuse_masks(path)
        result: RunResult = read_typed(path, RunResult)
        for split in (result["test"], result["test_last"]):
            _check_split(split, path)
        rows = self.metrics()
        return None if rows and rows[-1]["step"] != result["step"] else result

    def environment(self) -> dict[str, object] | None:
        """The contents of `environment.json`.

        Raises:
            UserError: the file is damaged.
        """
        path = self.folder / "environment.json"
        if not path.is_file():
            return None
        return cast(dict[str, object], convert(read_json(path), Mapping[str, object], str(path)))

    def imported(self) -> Imported | None:
        """The origin of imported weights; None for a run that was trained.

        Raises:
            UserError: the record is damaged.
        """
        return read_imported(self.folder)

    def explain_missing_result(self) -> tuple[str, str]:
        """Why there is no test result, and the command that creates one."""
        imported, folder = self.imported(), shlex.quote(str(self.folder))
        if imported is not None:
            return f"imported from {imported.source}, not tested here; test it with", f"capsnet evaluate {folder}"
        return "not finished, no test result yet; continue with", f"capsnet train --resume {folder}"

    def describe_training(self, result: RunResult) -> str:
        """How long the run was trained, or where its weights are from."""
        imported = self.imported()
        if imported is not None:
            return f"imported from {imported.source}"
        return f"trained {result['seconds']:,.0f} s, {result['step']:,} steps"

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
            noun = "pairs" if "digit_error_percent" in test else test.get("samples", "images")
            lines.append(
                f"test error <b>{test['error_percent']:.2f} %</b> of {test['n']:,} {noun}, "
                f"{escape(self.describe_training(result))}"
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
    """Create the folder of a new run atomically, with its files and its lock.

    Args:
        folder: must not exist, except as an empty remainder of a process that was killed.
        config: the run's configuration.
        environment: for `environment.json`.
        numbered: if the folder exists, use the next free name: `new_folder`.
        fill: writes further files into the folder before it gets its name.

    Returns:
        The run, and its lock, held by this process.

    Raises:
        UserError: the folder exists, or cannot be created.
    """
    root, name = folder.parent, folder.name
    temporary = root / f".{name}.{secrets.token_hex(4)}.part"
    try:
        temporary.mkdir(parents=True)
    except OSError as fault:
        raise UserError(f"{folder} cannot be created ({fault.strerror})") from None
    lock = None
    try:
        lock = FolderLock(temporary, folder)
        write_text(temporary / "config.json", config.to_json())
        if environment is not None:
            write_json(temporary / "environment.json", environment)
        if fill is not None:
            fill(temporary)
        while not _rename(temporary, folder):
            if not numbered:
                check_new(folder)
            folder = new_folder(name, root)
    except BaseException:
        if lock is not None:
            lock.release()
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Run(folder, config), lock


def _rename(temporary: Path, folder: Path) -> bool:
    """Rename a folder, unless the new name is taken; whether it was renamed."""
    try:
        if is_left_over(folder):
            remove_left_over(folder)
        # fails if a folder of that name exists and is not empty
        temporary.rename(folder)
    except OSError as fault:
        if not os.path.lexists(folder):
            raise UserError(f"{folder} cannot be created ({fault.strerror})") from None
        return False
    return True


def check_new(folder: Path) -> None:
    """Refuse an existing folder: nothing is overwritten.

    Raises:
        UserError: it exists, and is not the remainder of a killed process.
    """
    if os.path.lexists(folder) and not is_left_over(folder):
        raise UserError(f"{folder} exists; give another `out`, or go on with resume={folder}")


def check_resumed(resume: Path | str | None, out: Path | str | None) -> None:
    """Refuse a new folder for a run that is resumed.

    Raises:
        UserError: both are given.
    """
    if resume is not None and out is not None:
        raise UserError(f"out must be left out with resume={resume}: a resumed run stays in its folder, got {out}")


def new_folder(name: str, root: Path = Path("runs")) -> Path:
    """`runs/name`; if that exists, `runs/name-2` and so on."""
    folder, number = root / name, 1
    while os.path.lexists(folder):
        number += 1
        folder = root / f"{name}-{number}"
    return folder


def load(source: Path | str, *, model: nn.Module | None = None) -> CapsuleModel:
    """Load a trained model, in eval mode on the CPU.

    Args:
        source: a run folder, a weights file, a folder from `save_pretrained`, `hf:owner/name` of a model on the
            Hugging Face Hub (`hf:owner/name@revision`), or the name of bundled weights. A folder or file of the same
            name takes precedence; `./name` is always a path.
        model: receives the weights, if they belong to your own class.

    Returns:
        The model, with its class names and preprocessing.

    Raises:
        UserError: an unknown source, or weights that do not fit.

    Example:
        >>> load("efficient-capsnet-mnist").class_names[7]
        '7'
    """
    if is_run_folder(source):
        return Run.open(source).load_model(model)
    return load_weights(find_weights(source), model)


def is_run_folder(source: Path | str) -> bool:
    """Whether this is a folder, other than one from `save_pretrained`."""
    path = Path(source)
    return path.is_dir() and saved_model(path) is None


def open_model(source: CapsuleModel | Run | Path | str) -> tuple[CapsuleModel, Run | None]:
    """The model from a model, a run, or a source for `load`; and its run, if known.

    Raises:
        UserError: as `load`, or a source of another type, such as another module.
    """
    if isinstance(source, CapsuleModel):
        return source, None
    if isinstance(source, str | Path) and is_run_folder(source):
        source = Run.open(source)
    if isinstance(source, Run):
        return source.load_model(), source
    if not isinstance(source, str | Path):
        raise UserError(
            f"model must be a CapsuleModel, a run, a file or a name, got {type(source).__name__}; for a module "
            "that capsnet trained, give run.load_model(module)"
        )
    return load(source), None


@contextmanager
def opened_for_export(source: CapsuleModel | Run | Path | str) -> Iterator[tuple[CapsuleModel, Run | None]]:
    """The model on the CPU in eval mode, and its run, if known; afterwards an object is again as it was.

    Raises:
        UserError: as `open_model`.
    """
    model, run = open_model(source)
    device = model.device
    with eval_mode(model):
        try:
            yield model.cpu(), run
        finally:
            model.to(device)


def locate_weights(source: str) -> str:
    """The absolute path of a folder or file of weights; other names unchanged."""
    return str(Path(source).absolute()) if Path(source).exists() else source


def find_weights(source: Path | str) -> Path:
    """The weights file of a source for `load`.

    Raises:
        UserError: an unknown source, or a run without weights.
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
    bundled = pretrained_path(str(source))
    if bundled is not None:
        return bundled
    known = list_pretrained()
    hint = did_you_mean(str(source), known)
    names = f"{'Weights' if hint else 'weights'} in the package: {', '.join(known)}"
    raise UserError(f"{source}: no such run folder or weights file;{hint} {names}")


def _check_split(result: SplitResult, path: Path) -> None:
    """Refuse impossible results."""
    table, classes = result["confusion"], len(result["confusion"])
    if result["n"] < 1 or not 0 <= result["accuracy"] <= 1:
        raise UserError(f"{path}: {result['n']} images and an accuracy of {result['accuracy']} are not those of a test")
    if not classes or any(len(row) != classes or min(row) < 0 for row in table):
        raise UserError(f"{path}: the entry 'confusion' must be a square table of counts")
