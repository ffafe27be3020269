"""Capsule networks in PyTorch: right against the papers, fast, and pleasant to use."""

from pathlib import Path

from capsnet._version import __version__ as __version__
from capsnet.start import collecting_later

with collecting_later():
    import torch  # noqa: F401

from capsnet import functional, layers, losses, routing
from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.data import Dataset
from capsnet.errors import UserError
from capsnet.inference import Evaluation, evaluate
from capsnet.models import create_model, list_models
from capsnet.runs import Run, RunConfig, load
from capsnet.runs.show import VIEWS, View
from capsnet.training import Callback, train


@VIEWS.register("figures")
def _view(folder: Path) -> View:
    """A run is shown by the figures, which are loaded when somebody first looks at one."""
    from capsnet.figures.view import RunView

    return RunView(folder)


__all__ = [
    "Callback",
    "CapsNetOutput",
    "Capsules",
    "Dataset",
    "Evaluation",
    "RoutingOutput",
    "Run",
    "RunConfig",
    "UserError",
    "create_model",
    "evaluate",
    "functional",
    "layers",
    "list_models",
    "load",
    "losses",
    "routing",
    "train",
]
