"""Capsule networks in PyTorch: right against the papers, fast, and pleasant to use."""

__version__ = "0.1.0"

from capsnet import functional, layers, losses, routing
from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.models import create_model, list_models

__all__ = [
    "CapsNetOutput",
    "Capsules",
    "RoutingOutput",
    "create_model",
    "functional",
    "layers",
    "list_models",
    "losses",
    "routing",
]
