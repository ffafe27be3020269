"""A run on the disk: its configuration, folder, weights, checkpoint and metrics."""

from capsnet.runs.config import RunConfig as RunConfig
from capsnet.runs.folder import Run as Run
from capsnet.runs.folder import load as load

__all__ = ["Run", "RunConfig", "load"]
