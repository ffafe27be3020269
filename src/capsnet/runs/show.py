"""What a run shows to a person who works in a notebook; the figures, of a higher room, register how."""

import base64
import html
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from capsnet.errors import UserError
from capsnet.registry import Registry, did_you_mean
from capsnet.runs.files import write_bytes


@dataclass(frozen=True, repr=False)
class Picture:
    """A figure of a run, which a notebook displays.

    Args:
        name: such as `curves`.
        caption: what it teaches.
        png: the picture, as the bytes of a file.
    """

    name: str
    caption: str
    png: bytes

    def save(self, path: Path | str) -> Path:
        """Write it to a file.

        Raises:
            UserError: the file exists, or cannot be written.
        """
        target = Path(path)
        if target.exists():
            raise UserError(f"{target}: exists; give another name")
        write_bytes(target, self.png)
        return target

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return f"Picture({self.name!r}: {self.caption})"


class Pictures(Mapping[str, Picture]):
    """The figures of a run by name, each drawn when it is first asked for; a notebook displays all of them.

    Args:
        drawings: how to draw each.

    Example:
        >>> run.figures()["curves"].save("curves.png")
    """

    def __init__(self, drawings: Mapping[str, Callable[[], Picture]]) -> None:
        self._drawings = drawings
        self._drawn: dict[str, Picture] = {}

    def __getitem__(self, name: str) -> Picture:
        if name not in self._drawn:
            self._drawn[name] = self._drawings[name]()
        return self._drawn[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._drawings)

    def __len__(self) -> int:
        return len(self._drawings)

    def find(self, name: str) -> Picture:
        """Look a figure up.

        Raises:
            UserError: unknown name, with the nearest and all known ones; or a figure that cannot be drawn.
        """
        if name not in self._drawings:
            known = ", ".join(self._drawings) or "none; the run has nothing to draw yet"
            raise UserError(f"unknown figure {name!r};{did_you_mean(name, self._drawings)} Known: {known}")
        return self[name]

    def __repr__(self) -> str:
        return f"Pictures({', '.join(self)})"

    def _repr_html_(self) -> str:
        parts = []
        for name in self:
            try:
                picture = self[name]
            except UserError as fault:
                parts.append(f"<p>{html.escape(name)} is left out: {html.escape(str(fault))}</p>")
                continue
            parts.append(f"<p>{embed(picture)}<br><small>{html.escape(picture.caption)}</small></p>")
        return "\n".join(parts)


@runtime_checkable
class View(Protocol):
    """How a run is shown."""

    def summary(self) -> str:
        """Name, test error with its interval, learning curves and where the report is, as HTML."""

    def pictures(self) -> Pictures:
        """Its figures."""

    def report(self, *, overwrite: bool) -> Path:
        """Write `report.html`."""


VIEWS: Registry[Callable[[Path], View]] = Registry("view")
"""How to show the run in a folder; one is registered, under the name `figures`."""


def embed(picture: Picture, width: str = "100%") -> str:
    """A picture as an element of HTML that holds its bytes."""
    data, alt = base64.b64encode(picture.png).decode(), html.escape(picture.name, quote=True)
    return f'<img alt="{alt}" style="max-width:{width};height:auto" src="data:image/png;base64,{data}">'
