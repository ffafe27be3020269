"""Capsule networks in PyTorch: faithful to the papers, fast, and easy to use.

`import capsnet` loads no other module: each name below, and each room, is imported when it is first used (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING

from capsnet._version import __version__ as __version__

if TYPE_CHECKING:
    from capsnet import analysis as analysis
    from capsnet import bench as bench
    from capsnet import capsules as capsules
    from capsnet import cli as cli
    from capsnet import data as data
    from capsnet import demo as demo
    from capsnet import doctor as doctor
    from capsnet import errors as errors
    from capsnet import figures as figures
    from capsnet import functional as functional
    from capsnet import inference as inference
    from capsnet import interop as interop
    from capsnet import kernels as kernels
    from capsnet import layers as layers
    from capsnet import lightning as lightning
    from capsnet import losses as losses
    from capsnet import models as models
    from capsnet import prediction as prediction
    from capsnet import recipes as recipes
    from capsnet import registry as registry
    from capsnet import routing as routing
    from capsnet import runs as runs
    from capsnet import sklearn as sklearn
    from capsnet import studies as studies
    from capsnet import training as training
    from capsnet.capsules import CapsNetOutput as CapsNetOutput
    from capsnet.capsules import Capsules as Capsules
    from capsnet.capsules import RoutingOutput as RoutingOutput
    from capsnet.data import Dataset as Dataset
    from capsnet.errors import UserError as UserError
    from capsnet.inference import Evaluation as Evaluation
    from capsnet.inference import evaluate as evaluate
    from capsnet.inference.predict import Prediction as Prediction
    from capsnet.inference.predict import predict as predict
    from capsnet.models import create_model as create_model
    from capsnet.models import list_models as list_models
    from capsnet.runs import Run as Run
    from capsnet.runs import RunConfig as RunConfig
    from capsnet.runs import load as load
    from capsnet.studies.sweep import sweep as sweep
    from capsnet.training import Callback as Callback
    from capsnet.training import train as train

_MODULES = {
    "CapsNetOutput": "capsules",
    "Capsules": "capsules",
    "RoutingOutput": "capsules",
    "Dataset": "data",
    "UserError": "errors",
    "Evaluation": "inference",
    "evaluate": "inference",
    "Prediction": "inference.predict",
    "predict": "inference.predict",
    "create_model": "models",
    "list_models": "models",
    "Run": "runs",
    "RunConfig": "runs",
    "load": "runs",
    "sweep": "studies.sweep",
    "Callback": "training",
    "train": "training",
}
"""The module of each name; the imports under `TYPE_CHECKING` above are the same for type checkers."""

_ROOMS = frozenset(
    [
        "analysis",
        "bench",
        "capsules",
        "cli",
        "data",
        "demo",
        "doctor",
        "errors",
        "figures",
        "functional",
        "inference",
        "interop",
        "keras",
        "kernels",
        "layers",
        "lightning",
        "losses",
        "models",
        "prediction",
        "recipes",
        "registry",
        "routing",
        "runs",
        "sklearn",
        "studies",
        "training",
    ]
)

# with this `__getattr__`, a type checker would accept any attribute
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a room, or the module of a name, on first use."""
        if name in _ROOMS:
            from capsnet.errors import UserError

            try:
                return import_module(f"capsnet.{name}")
            except (UserError, ModuleNotFoundError) as fault:
                if isinstance(fault, ModuleNotFoundError) and fault.name not in ("keras", "lightning"):
                    raise
                # a room whose extra is not installed; `hasattr` expects this error
                raise AttributeError(str(fault)) from fault
        if name not in _MODULES:
            raise AttributeError(f"module 'capsnet' has no attribute {name!r}")
        if name in ("RunConfig", "train"):
            # they take recipes by name
            import_module("capsnet.recipes")
        value = getattr(import_module(f"capsnet.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_MODULES})


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
    "sweep",
    "train",
]
