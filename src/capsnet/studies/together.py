"""Test the networks of a study's row together; the result is stored in `together.json`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from capsnet.errors import UserError
from capsnet.inference.evaluate import evaluate
from capsnet.models.ensemble import Ensemble
from capsnet.runs.data import load_dataset
from capsnet.runs.files import write_json
from capsnet.runs.folder import Run, SplitResult
from capsnet.runs.typed import read_typed
from capsnet.runs.weights import count_parameters
from capsnet.studies.study import Task, Together
from capsnet.training.device import resolve_device

_FILE = "together.json"


class TogetherResult(TypedDict):
    """The content of `together.json`: each run's test margin loss, the common test result, and the parameters."""

    runs: dict[str, float]
    test: SplitResult
    parameters: int


def read_together(folder: Path, members: Sequence[Task]) -> TogetherResult | None:
    """The stored result of these networks together, or None if it is missing, damaged, or of other networks."""
    path = folder / _FILE
    if not path.is_file():
        return None
    try:
        result: TogetherResult = read_typed(path, TogetherResult)
    except UserError:
        # damaged: it is computed again
        return None
    return result if result["runs"] == _fingerprints(members) else None


def evaluate_together(folder: Path, members: Sequence[Task]) -> TogetherResult:
    """Test the networks of finished runs together, as `capsnet evaluate RUN RUN` does, and store the result."""
    config = members[0].config
    networks = [Run.open(task.folder).load_model() for task in members]
    together = Ensemble(networks).to(resolve_device(config.run.device))
    result: TogetherResult = {
        "runs": _fingerprints(members),
        "test": evaluate(together, load_dataset(config)).to_dict(),
        "parameters": count_parameters(together),
    }
    write_json(folder / _FILE, result)
    return result


def find_members(together: Together, tasks: Sequence[Task]) -> list[Task]:
    """The runs whose networks are tested together; empty if one is unfinished, or if there is only one."""
    members = [task for task in tasks if task.row.name == together.row]
    return members if len(members) > 1 and all(task.finished for task in members) else []


def _fingerprints(members: Sequence[Task]) -> dict[str, float]:
    """The test margin loss of each run, which identifies its weights."""
    results = {task.name: Run.open(task.folder).evaluation() for task in members}
    return {name: result["test"]["margin_loss"] for name, result in results.items() if result is not None}
