"""What was found about one part of the machine or of the installation."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What was found, twice, and what is amiss.

    Args:
        says: for people: labels and what stands beside them.
        values: for machines: plain data.
        warnings: what is amiss, in words, with a remedy.
    """

    says: Mapping[str, str]
    values: Mapping[str, object]
    warnings: tuple[str, ...] = ()
