"""Figures in memory, which a notebook displays."""

import base64
import html
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from capsnet.errors import UserError
from capsnet.registry import suggest
from capsnet.runs.files import write_bytes


@dataclass(frozen=True, repr=False)
class Picture:
    """One figure of a run.

    Args:
        name: such as `curves`.
        caption: how to read it.
        png: the image file's bytes.
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
            raise UserError(f"{target} exists; choose another name")
        write_bytes(target, self.png)
        return target

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return f"Picture({self.name!r}: {self.caption})"


class Pictures(Mapping[str, Picture]):
    """The figures of a run by name, each drawn on first access; a notebook displays all of them.

    Args:
        drawings: a function for each name that draws the figure.

    Example:
        >>> capsnet.figures.show_figures(run)["curves"].save("curves.png")
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
        """Return one figure.

        Raises:
            UserError: unknown name (the message suggests known ones), or the figure cannot be drawn.
        """
        if name not in self._drawings:
            known = suggest(name, self._drawings) if self._drawings else "; the run has nothing to draw yet"
            raise UserError(f"unknown figure {name!r}{known}")
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


def embed(picture: Picture, width: str = "100%") -> str:
    """An HTML `<img>` element that contains the picture's bytes."""
    data, alt = base64.b64encode(picture.png).decode(), html.escape(picture.name, quote=True)
    return f'<img alt="{alt}" style="max-width:{width};height:auto" src="data:image/png;base64,{data}">'
