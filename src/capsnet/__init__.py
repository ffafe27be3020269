"""Capsule networks in PyTorch: right against the papers, fast, and pleasant to use."""

__version__ = "0.1.0"

from capsnet import functional, layers, losses, routing
from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.models import create_model, list_models
from capsnet.training import Callback, Evaluation, Run, RunConfig, evaluate, load, train

__all__ = [
    "Callback",
    "CapsNetOutput",
    "Capsules",
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
