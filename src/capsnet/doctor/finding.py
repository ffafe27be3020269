"""The result of one check of the machine or installation."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A finding: human-readable lines, machine-readable values, warnings.

    Args:
        lines: texts by their labels, for people.
        values: plain data, for machines.
        warnings: problems, with a remedy.
    """

    lines: Mapping[str, str]
    values: Mapping[str, object]
    warnings: tuple[str, ...] = ()
