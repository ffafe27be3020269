"""Filling a study's table: what is missing is run, what was stopped goes on, what is finished stays as it is."""

import contextlib
import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from capsnet.data import load_data
from capsnet.errors import UserError
from capsnet.runs import Run
from capsnet.runs.built import OPEN, as_built
from capsnet.runs.config import RunConfig
from capsnet.runs.files import write_text
from capsnet.runs.sections import Execution
from capsnet.studies.markdown import to_markdown
from capsnet.studies.milestones import train_in_stages
from capsnet.studies.pool import run_pool
from capsnet.studies.study import STUDIES, Changes, Study, Task, plan
from capsnet.studies.table import Table, make_table
from capsnet.studies.together import TogetherResult, evaluate_together, find_members, read_together
from capsnet.training import train

# where and how a run computes and where its data lies do not make it another run
_FREE = ("device", "execution", "data_dir")


def reproduce(
    name: str,
    *,
    budget: str = "quick",
    seeds: int | None = None,
    out: Path | None = None,
    jobs: int = 1,
    data_dir: Path | None = None,
    execution: Execution = "auto",
    small: bool = False,
    changes: Changes | None = None,
) -> Table:
    """Run what a study lacks, and write `table.json` and `table.md` where they are not those of its runs.

    Args:
        name: of the study.
        budget: `"quick"` or `"full"`.
        seeds: runs of each row; the default is the budget's.
        out: the study's folder, `runs/`, `logs/` and tables in it; the default is `studies/NAME-BUDGET`.
        jobs: runs at a time, each a process: on a GPU of its own where there are some, else on its share of the cores.
        data_dir: where named data sets lie.
        execution: how a step is run; `"auto"` is one CUDA graph on a GPU.
        small: drop the weights of finished runs.
        changes: options of a run, for every run, over the study's: for a trial; the table says so.

    Returns:
        The table.

    Raises:
        UserError: something that the user can mend; finished runs are kept.
        KeyboardInterrupt: stopped by the user; the same call goes on.

    Example:
        >>> reproduce("routing-iterations", seeds=1, changes={"limit": 640})
    """
    study = STUDIES.get(name)
    chosen = study.budget(budget)
    count = chosen.seeds if seeds is None else seeds
    folder = out or Path("studies") / f"{name}-{budget}"
    all_changes = {**_stand_in(study, folder, changes, data_dir), **(changes or {})}
    tasks = plan(study, budget, count, folder, all_changes, None if data_dir is None else str(data_dir), execution)
    if jobs < 1:
        raise UserError(f"jobs must be at least 1, got {jobs}")
    for task in tasks:
        _check(task)
    missing = [task for task in tasks if not task.finished]
    failures: list[str] = []
    if missing:
        _find_data(missing)
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder) as lock:
            if jobs == 1:
                failures = _run_here(missing, len(tasks))
            else:
                failures = run_pool(missing, len(tasks), jobs, folder / "logs", lock)
    together = _find_together(study, tasks, folder)
    for task in tasks:
        if task.finished:
            _tidy(task, small)
    if not any(task.finished for task in tasks):
        raise UserError(f"{folder}: no run was finished; {'; '.join(failures)}")
    table = make_table(name, budget, tasks, _command(study, name, budget, count, changes), changes, together)
    _write_if_other(folder / "table.json", json.dumps(table, indent=2) + "\n")
    _write_if_other(folder / "table.md", to_markdown(table))
    if failures:
        raise UserError(
            f"{len(failures)} of {len(tasks)} runs failed, the table is without them: {'; '.join(failures)}"
        )
    return table


def _check(task: Task) -> None:
    """Refuse a run folder that holds another run; clear one that was killed before it had a configuration."""
    if not task.folder.exists():
        return
    if not (task.folder / "config.json").exists():
        for part in task.folder.glob(".*.part"):
            part.unlink()
        try:
            task.folder.rmdir()
        except OSError:
            raise UserError(f"{task.folder} is not a run folder, it has no config.json; give another `out`") from None
        return
    before, wanted = as_built(Run.open(task.folder).config).options(), task.config.options()
    if before["epochs"] in task.stages:
        before["epochs"] = wanted["epochs"]
    for name, value in wanted.items():
        is_free = name in _FREE or (name in OPEN and value in (None, "auto"))
        if before[name] != value and not is_free:
            raise UserError(
                f"{task.folder} holds a run with another {name.replace('_', ' ')} ({before[name]!r}, the study has "
                f"{value!r}); give another `out`"
            )


def _stand_in(study: Study, folder: Path, changes: Changes | None, data_dir: Path | None) -> Changes:
    """Another data set where the study's own is not at hand; runs that have begun decide, whatever is there now."""
    pair = study.stand_in
    if pair is None or "data" in (changes or {}):
        return {}
    begun = {Run.open(path.parent).config.data.name for path in (folder / "runs").glob("*/config.json")}
    if pair.other in begun or not (begun or pair.is_there(data_dir)):
        _say(f"on {pair.other} in place of {pair.data}")
        return {"data": pair.other}
    return {}


def _find_together(study: Study, tasks: Sequence[Task], folder: Path) -> TogetherResult | None:
    """The test of networks together, of a study that has one: it is made once, when the last of them is finished."""
    members = find_members(study.together, tasks) if study.together is not None else []
    if not members:
        return None
    result = read_together(folder, members)
    if result is not None:
        return result
    gone = [task.name for task in members if not (task.folder / "weights.safetensors").is_file()]
    if gone:
        _say(f"networks are not tested together: the weights of {', '.join(gone)} were dropped")
        return None
    _say(f"{len(members)} networks together")
    with _alone(folder):
        return evaluate_together(folder, members)


def _find_data(tasks: Sequence[Task]) -> None:
    """Find and check the data before anything is trained: one fault in place of one for each run."""
    wanted = {(data.name, data.data_dir, data.image_size) for data in (task.config.data for task in tasks)}
    for data, data_dir, size in wanted:
        load_data(data, data_dir=Path(data_dir) if data_dir else None, image_size=size)


def run_task(folder: Path, config: RunConfig, stages: tuple[int, ...] = ()) -> Run:
    """Train a new run, or go on with one that was stopped."""
    if stages:
        return train_in_stages(folder, config, stages)
    return train(config, resume=folder) if folder.exists() else train(config, out=folder)


def _run_here(tasks: Sequence[Task], total: int) -> list[str]:
    """Run one after the other in this process; returns what failed."""
    failures = []
    for number, task in enumerate(tasks, total - len(tasks) + 1):
        _say(f"[{number}/{total}] {task.name}")
        try:
            run_task(task.folder, task.config, task.stages)
        except UserError as fault:
            failures.append(f"{task.name}: {fault}")
            _say(f"capsnet: {failures[-1]}")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped in {task.name}; the same command goes on where it was") from None
    return failures


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """Hold the study's lock, which its processes inherit: two commands never write to one run.

    Raises:
        UserError: another command is at work there.
    """
    import fcntl

    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"{folder}: another capsnet reproduce is at work there; wait, or give another `out`"
            ) from None
        yield file.fileno()


def _tidy(task: Task, small: bool) -> None:
    """Drop what only resume needs, and the weights where they are not wanted."""
    if (task.folder / "last").exists():
        shutil.rmtree(task.folder / "last")
    if small:
        (task.folder / "weights.safetensors").unlink(missing_ok=True)


def _command(study: Study, name: str, budget: str, seeds: int, changes: Mapping[str, object] | None) -> str:
    words = ["capsnet", "reproduce", name, "--budget", budget]
    if seeds != study.budget(budget).seeds:
        words += ["--seeds", str(seeds)]
    if changes:
        words += ["--change", *(f"{key}={value}" for key, value in changes.items())]
    return shlex.join(words)


def _write_if_other(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text() != text:
        write_text(path, text)
