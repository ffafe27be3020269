"""Fill a study's table: missing runs are trained, stopped runs are resumed, finished runs are kept."""

import contextlib
import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from capsnet.errors import UserError
from capsnet.runs import Run
from capsnet.runs.built import OPEN, as_built
from capsnet.runs.data import load_dataset
from capsnet.runs.files import write_text
from capsnet.runs.given import note_length
from capsnet.runs.lock import is_left_over, remove_left_over
from capsnet.runs.sections import Execution
from capsnet.studies.cluster import connect, run_on_ray
from capsnet.studies.markdown import to_markdown
from capsnet.studies.pool import run_pool
from capsnet.studies.run_task import run_task
from capsnet.studies.study import STUDIES, Changes, Study, Task, plan
from capsnet.studies.table import Table, make_table
from capsnet.studies.together import TogetherResult, evaluate_together, find_members, read_together

SWEEP_FILE = "sweep.json"
"""The file that marks a sweep's folder, into which no study is written."""

# fields that may differ when a run is resumed: where and how it is computed, and the location of the data
_FILES = ("table.md", "figure.png")
_FREE = ("device", "execution", "fixed_order", "data_dir")


def reproduce(
    name: str,
    *,
    budget: str = "quick",
    seeds: int | None = None,
    out: Path | str | None = None,
    jobs: int = 1,
    data_dir: Path | str | None = None,
    execution: Execution = "auto",
    small: bool = False,
    changes: Changes | None = None,
    ray: str | None = None,
) -> Table:
    """Train the missing runs of a study, and update `table.json` and `table.md`.

    Args:
        name: name of the study.
        budget: `"quick"` or `"full"`.
        seeds: number of runs of each row; None: the budget's.
        out: the study's folder, for `runs/`, `logs/` and the tables; None: `studies/NAME-BUDGET`.
        jobs: number of concurrent runs, each in its own process, with its own GPU or its share of the cores.
        data_dir: folder that holds the folders of named data sets.
        execution: how a training step is executed; `"auto"`: as one CUDA graph on a GPU.
        small: delete the weights of finished runs.
        changes: options that override those of the study in every run, for trials; the table lists them.
        ray: address of a Ray cluster, or `"auto"`: the running cluster, or local processes if there is none.

    Returns:
        The table.

    Raises:
        UserError: an error that the user can correct; finished runs are kept.
        KeyboardInterrupt: stopped by the user; the same call resumes.

    Example:
        >>> reproduce("routing-iterations", seeds=1, changes={"limit": 640})
    """
    study = STUDIES.get(name)
    chosen = study.budget(budget)
    count = chosen.seeds if seeds is None else seeds
    folder = Path(out or Path("studies") / f"{name}-{budget}")
    _check_folder(folder, name)
    note_length(changes or {})
    root = None if data_dir is None else Path(data_dir)
    all_changes = {**_stand_in(study, folder, changes, root), **(changes or {})}
    tasks = plan(study, budget, count, folder, all_changes, None if root is None else str(root), execution)
    failures = train_missing(tasks, folder, jobs, ray)
    together = _find_together(study, tasks, folder)
    tidy(tasks, small)
    check_any_finished(tasks, folder, failures)
    table = make_table(name, budget, tasks, _command(study, name, budget, count, changes), changes, together)
    write_table(folder, table, to_markdown(table))
    refuse_failures(failures, len(tasks))
    return table


def _check_folder(folder: Path, name: str) -> None:
    """Refuse a folder whose table or figure the study would replace with its own.

    Raises:
        UserError: a folder of a sweep or of another study, or one with files of these names.
    """
    if (folder / SWEEP_FILE).exists():
        raise UserError(f"{folder} holds a sweep (it has {SWEEP_FILE}); give another `out`")
    path = folder / "table.json"
    if path.is_file():
        try:
            other = json.loads(path.read_text()).get("study")
        except (OSError, ValueError, AttributeError):
            other = None
        if other != name:
            raise UserError(f"{path} is not the table of {name}, but {other or 'another file'}; give another `out`")
    elif not (folder / "runs").exists() and (existing := [file for file in _FILES if (folder / file).exists()]):
        raise UserError(f"{folder / existing[0]} exists, and is of no study; give another `out`")


def train_missing(tasks: Sequence[Task], folder: Path, jobs: int, ray: str | None) -> list[str]:
    """Train the runs that are not finished.

    Args:
        tasks: all runs of the study.
        folder: the study's folder.
        jobs: number of concurrent runs on a machine.
        ray: address of a Ray cluster; see `reproduce`.

    Returns:
        A message for each run that failed.

    Raises:
        UserError: a run folder that holds another run, missing data, another command that uses the folder, or no
            cluster.
    """
    check_tasks(tasks, jobs)
    missing = [task for task in tasks if not task.finished]
    if not missing:
        return []
    _find_data(missing)
    with alone(folder) as lock, connect(ray) as cluster:
        # another command may have finished some since
        missing = [task for task in missing if not task.finished]
        if cluster is not None:
            return run_on_ray(cluster, missing, len(tasks), jobs, folder / "logs")
        if jobs == 1:
            return _run_here(missing, len(tasks))
        return run_pool(missing, len(tasks), jobs, folder / "logs", lock)


def check_tasks(tasks: Sequence[Task], jobs: int) -> None:
    """Check that every run can be trained or resumed in its folder.

    Raises:
        UserError: a run folder that holds another run, or less than one job.
    """
    if jobs < 1:
        raise UserError(f"jobs must be at least 1, got {jobs}")
    for task in tasks:
        _check(task)


def check_any_finished(tasks: Sequence[Task], folder: Path, failures: Sequence[str]) -> None:
    """Refuse to make a table without runs.

    Raises:
        UserError: no run is finished; the message lists the failures.
    """
    if not any(task.finished for task in tasks):
        raise UserError(f"{folder}: no run was finished; {'; '.join(failures)}")


def refuse_failures(failures: Sequence[str], total: int) -> None:
    """Raise an error if the table lacks runs that failed.

    Raises:
        UserError: runs failed; the message lists the failures.
    """
    if failures:
        raise UserError(f"{len(failures)} of {total} runs failed, the table is without them: {'; '.join(failures)}")


def write_table(folder: Path, table: Table, text: str) -> None:
    """Write `table.json` and `table.md` if they changed; the figure is redrawn if they are newer."""
    _write_if_other(folder / "table.json", json.dumps(table, indent=2) + "\n")
    _write_if_other(folder / "table.md", text)


def _check(task: Task) -> None:
    """Refuse a run folder that holds another run; clear the folder of a run killed before it wrote a configuration."""
    if not task.folder.exists():
        return
    if not (task.folder / "config.json").exists():
        if not is_left_over(task.folder):
            raise UserError(f"{task.folder} is not a run folder, it has no config.json; give another `out`")
        remove_left_over(task.folder)
        return
    before, wanted = as_built(Run.open(task.folder).config).options(), task.config.options()
    if before["epochs"] in task.stages:
        before["epochs"] = wanted["epochs"]
    for name, value in wanted.items():
        is_free = name in _FREE or (name in OPEN and value in (None, "auto"))
        if before[name] != value and not is_free:
            raise UserError(
                f"{task.folder} holds a run with another {name.replace('_', ' ')} ({before[name]!r}, this command has "
                f"{value!r}); give another `out`"
            )


def _stand_in(study: Study, folder: Path, changes: Changes | None, data_dir: Path | None) -> Changes:
    """Select the substitute data set if the study's own is missing. Runs of the study that exist take precedence."""
    pair = study.stand_in
    if pair is None or "data" in (changes or {}):
        return {}
    begun = {Run.open(path.parent).config.data.name for path in (folder / "runs").glob("*/config.json")}
    if pair.other in begun or not (begun or pair.is_there(data_dir)):
        _print(f"on {pair.other} in place of {pair.data}")
        return {"data": pair.other}
    return {}


def _find_together(study: Study, tasks: Sequence[Task], folder: Path) -> TogetherResult | None:
    """The result of testing networks together, if the study has such a row and all of them are finished."""
    members = find_members(study.together, tasks) if study.together is not None else []
    if not members:
        return None
    result = read_together(folder, members)
    if result is not None:
        return result
    gone = [task.name for task in members if not (task.folder / "weights.safetensors").is_file()]
    if gone:
        _print(f"networks are not tested together: the weights of {', '.join(gone)} were deleted")
        return None
    _print(f"{len(members)} networks together")
    with alone(folder):
        return evaluate_together(folder, members)


def _find_data(tasks: Sequence[Task]) -> None:
    """Load the data before anything is trained, so that an error is raised once and not for each run."""
    configs = {}
    for config in (task.config for task in tasks):
        data = config.data
        read = (data.name, data.data_dir, data.image_size, data.skip_unreadable, data.pixel_range, data.shards)
        configs[read] = config
    for config in configs.values():
        load_dataset(config)


def _run_here(tasks: Sequence[Task], total: int) -> list[str]:
    """Train the runs one after the other in this process; returns a message for each failure."""
    failures = []
    for number, task in enumerate(tasks, total - len(tasks) + 1):
        _print(f"[{number}/{total}] {task.name}")
        try:
            run_task(task.folder, task.config, task.stages)
        except UserError as fault:
            failures.append(f"{task.name}: {fault}")
            _print(f"capsnet: {failures[-1]}")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped in {task.name}; repeat the same command to resume") from None
    return failures


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[int]:
    """Hold the lock of a study's folder, which child processes inherit, so that two commands never write to one run.

    Raises:
        UserError: another command uses the folder.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{folder} is a file, not a folder; give another `out`") from None
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{folder} is in use by another capsnet command; wait, or give another `out`") from None
        yield file.fileno()


def tidy(tasks: Sequence[Task], small: bool) -> None:
    """Delete the resume checkpoints of finished runs, and their weights if `small`."""
    for task in tasks:
        if not task.finished:
            continue
        if (task.folder / "last").exists():
            shutil.rmtree(task.folder / "last")
        if small:
            (task.folder / "weights.safetensors").unlink(missing_ok=True)


def _command(study: Study, name: str, budget: str, seeds: int, changes: Mapping[str, object] | None) -> str:
    words = ["capsnet", "reproduce", name, "--budget", budget]
    if seeds != study.budget(budget).seeds:
        words += ["--seeds", str(seeds)]
    if changes:
        words += ["--change", *(f"{key}={_argument(value)}" for key, value in changes.items())]
    return shlex.join(words)


def _argument(value: object) -> str:
    """A value as `--change` reads it: texts as they are, others as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _write_if_other(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text() != text:
        write_text(path, text)
