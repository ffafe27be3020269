"""Analyses of a trained network: routing, capsules, robustness, attacks, mistakes; one file per analysis."""

from capsnet.analysis.record import Record as Record
from capsnet.analysis.record import analyse as analyse
from capsnet.analysis.registry import ANALYSES as ANALYSES
from capsnet.analysis.registry import Analysis as Analysis
from capsnet.registry import import_modules

import_modules(__name__)


__all__ = ["ANALYSES", "Analysis", "Record", "analyse"]
