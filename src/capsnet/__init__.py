"""Capsule networks in PyTorch: right against the papers, fast, and pleasant to use."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from capsnet._version import __version__ as __version__
from capsnet.start import collecting_later, quitting_on_interrupt

with quitting_on_interrupt():
    with collecting_later():
        import torch  # noqa: F401

    from capsnet import functional, layers, losses, routing

    # `train` knows recipes by their names
    from capsnet import recipes as _recipes  # noqa: F401
    from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
    from capsnet.data import Dataset
    from capsnet.errors import UserError
    from capsnet.inference import Evaluation, evaluate
    from capsnet.models import create_model, list_models
    from capsnet.runs import Run, RunConfig, load
    from capsnet.runs.show import VIEWS, View
    from capsnet.training import Callback, train

_ROOMS = frozenset(
    [
        "analysis",
        "bench",
        "data",
        "demo",
        "doctor",
        "figures",
        "inference",
        "kernels",
        "models",
        "recipes",
        "runs",
        "studies",
        "training",
    ]
)

if TYPE_CHECKING:
    from capsnet.inference.predict import Prediction as Prediction
    from capsnet.inference.predict import predict as predict


@VIEWS.register("figures")
def _view(folder: Path) -> View:
    """A run is shown by the figures, which are loaded when somebody first looks at one."""
    from capsnet.figures.view import RunView

    return RunView(folder)


def __getattr__(name: str) -> object:
    """Import a room of the package when it is first used (PEP 562), as in `capsnet.kernels.use("plain")`."""
    # prediction reads image files: Pillow and scipy are loaded when it is first used
    if name in ("Prediction", "predict"):
        return getattr(import_module("capsnet.inference.predict"), name)
    if name not in _ROOMS:
        raise AttributeError(f"module 'capsnet' has no attribute {name!r}")
    return import_module(f"capsnet.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})


__all__ = [
    "Callback",
    "CapsNetOutput",
    "Capsules",
    "Dataset",
    "Evaluation",
    "Prediction",
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
    "predict",
    "routing",
    "train",
]
