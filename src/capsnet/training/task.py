"""What `train` trains: networks that classify images, segmentation models, or models of sequences."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from capsnet.data import DATASETS
from capsnet.data.input_kind import find_input_kind
from capsnet.errors import UserError
from capsnet.models import SEGMENTERS, SEQUENCE_MODELS
from capsnet.runs.folder import Run

Task = Literal["own-masks", "own-sequences"]
"""What the plain loop trains (`training/other_inputs.py`); the recipe in the configuration of its runs."""
MODELS_OF: Mapping[Task, str] = {"own-masks": "segmentation models", "own-sequences": "models of sequences"}
"""What each task trains, in words."""
_WHAT: Mapping[Task, str] = {
    "own-masks": "a folder of images/ and masks/",
    "own-sequences": "a folder of WAV files in class folders, or a .ts file",
}


def task_of(run: Run) -> Task | None:
    """What a run trained; None: a network that classifies images."""
    return next((task for task in MODELS_OF if task == run.config.run.recipe), None)


def find_task(data: object, model: object, resume: Path | str | None) -> Task | None:
    """What these arguments of `train` train, if it is no network that classifies images.

    Args:
        data: a name, a folder or a file; anything else is for images.
        model: a name, or anything else.
        resume: the folder of a run, or None.

    Raises:
        UserError: a model of one kind with data of another.
    """
    if resume is not None:
        return task_of(Run.open(resume))
    kind = find_input_kind(data) if isinstance(data, str | Path) and data not in DATASETS else "images"
    by_data: Task | None = None if kind == "images" else "own-masks" if kind == "masks" else "own-sequences"
    by_model: Task | None = None
    if isinstance(model, str):
        by_model = "own-masks" if model in SEGMENTERS else "own-sequences" if model in SEQUENCE_MODELS else None
    if by_model is not None and by_model != by_data:
        raise UserError(f"data must be {_WHAT[by_model]} for the model {model}, got {data or 'nothing'}")
    if by_data is not None and model is not None and by_model is None:
        names = SEGMENTERS.names() if by_data == "own-masks" else SEQUENCE_MODELS.names()
        given = model if isinstance(model, str) else type(model).__name__
        raise UserError(f"model must be one of {', '.join(names)} for {data}, got {given}")
    return by_data
