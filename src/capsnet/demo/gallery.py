"""The networks on the page."""

import os
from collections.abc import Sequence
from pathlib import Path

from capsnet.errors import UserError
from capsnet.models import CapsuleModel
from capsnet.runs import load
from capsnet.runs.pretrained import list_pretrained


class Gallery:
    """Networks by name, each loaded on first use.

    Args:
        sources: run folders, weights files, or names of bundled networks; the first one is selected at the start.

    Raises:
        UserError: no sources, or the first cannot be loaded.
    """

    def __init__(self, sources: Sequence[str]) -> None:
        if not sources:
            raise UserError(
                "no trained network found; name a run folder or a weights file (capsnet demo RUN), or train one "
                "first (capsnet train)"
            )
        self._sources = dict(zip(_short_names(sources), sources, strict=True))
        self._models: dict[str, CapsuleModel] = {}
        self.get(self.names[0])

    @property
    def names(self) -> list[str]:
        """The names of the networks, in order."""
        return list(self._sources)

    def get(self, name: str) -> CapsuleModel:
        """The network of this name.

        Raises:
            UserError: an unknown name, or a network that cannot be loaded.
        """
        if name not in self._sources:
            raise UserError(f"unknown network {name[:60]!r}; known: {', '.join(self._sources)}")
        if name not in self._models:
            self._models[name] = load(self._sources[name])
        return self._models[name]


def find_sources() -> list[str]:
    """The networks on the page if none is named: those that come with the package."""
    return list_pretrained()


def _short_names(sources: Sequence[str]) -> list[str]:
    """The last part of each path (for a run's weights, the folder); full paths if two names would be equal."""
    short = []
    for source in sources:
        path = Path(os.path.normpath(source))
        if path.suffix == ".safetensors":
            path = path.parent if path.stem == "weights" and path.parent.name else path.with_suffix("")
        short.append(path.name or str(path.resolve()))
    if len(set(short)) == len(short):
        return short
    return [str(Path(source)) for source in sources]
