"""What a trained network does: routing, capsules, robustness, attacks, mistakes; one file per analysis."""

# the modules below register their analyses
from capsnet.analysis import adversarial as _adversarial  # noqa: F401
from capsnet.analysis import capsules as _capsules  # noqa: F401
from capsnet.analysis import detection as _detection  # noqa: F401
from capsnet.analysis import errors as _errors  # noqa: F401
from capsnet.analysis import iterations as _iterations  # noqa: F401
from capsnet.analysis import robustness as _robustness  # noqa: F401
from capsnet.analysis import routing as _routing  # noqa: F401
from capsnet.analysis import samples as _samples  # noqa: F401
from capsnet.analysis.record import Record as Record
from capsnet.analysis.record import analyse as analyse
from capsnet.analysis.registry import ANALYSES as ANALYSES
from capsnet.analysis.registry import Analysis as Analysis

__all__ = ["ANALYSES", "Analysis", "Record", "analyse"]
