"""Images in tar archives, as the package webdataset writes them.

The members of a sample have one name up to the first dot: `0001.jpg` (or another image), and its label in `0001.cls` (a
whole number), `0001.json` (`{"label": ...}`) or `0001.txt` (the class's name). Nothing is unpacked: an image is read
from its place in the archive.
"""

import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

from capsnet.data.formats import SUFFIXES, printable_name
from capsnet.data.labels import Label
from capsnet.data.layout import is_visible
from capsnet.data.sources import file_state, make_key
from capsnet.errors import UserError

_MOST_IMAGE_BYTES = 256 << 20
_MOST_LABEL_BYTES = {"cls": 64, "json": 1 << 20, "txt": 4096}
# extended headers hold long names; older versions of Python take a second for each 20 KB of a hostile one
_MOST_HEADER_BYTES = 8192
_HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME)
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_BLOCK = 512
# what tarfile raises on damaged archives; a chain of headers is read by recursion
_FAULTS = (tarfile.TarError, OSError, ValueError, LookupError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Member:
    """Where an image lies.

    Args:
        archive: that holds it.
        offset: of its first byte.
        size: in bytes.
    """

    archive: Path
    offset: int
    size: int


@dataclass(frozen=True)
class TarImages:
    """The images of an archive.

    Args:
        members: by name.
        labels: of each image by name.
        others: number of members that are neither images nor labels, by ending.
    """

    members: Mapping[str, Member]
    labels: Mapping[str, Label]
    others: Mapping[str, int]


class TarFiles:
    """Images in archives by name: the archive's name, `/`, and the member's name.

    Args:
        folder: below which the archives lie.
        members: by name.
    """

    def __init__(self, folder: Path, members: Mapping[str, Member]) -> None:
        self._folder, self._members = folder, members

    @property
    def place(self) -> str:
        """The folder, without links."""
        return str(self._folder.resolve())

    def locate(self, name: str) -> str:
        """The archive's path, and the member's name in it."""
        return str(self._folder / name)

    def open(self, name: str) -> BytesIO:
        """An image's file."""
        member = self._members[name]
        try:
            with member.archive.open("rb") as file:
                file.seek(member.offset)
                data = file.read(member.size)
        except OSError as fault:
            raise UserError(f"{member.archive} cannot be read ({fault.strerror})") from None
        if len(data) < member.size:
            raise UserError(f"{member.archive} was truncated while it was in use; fetch it again")
        return BytesIO(data)

    def keys(self, names: Sequence[str]) -> list[bytes]:
        """Of each image's name and place, and of its archive's size and times of change."""
        states = {path: file_state(path) for path in {member.archive for member in self._members.values()}}
        members = [self._members[name] for name in names]
        rows = zip(names, members, strict=True)
        return [make_key(name, m.offset, m.size, *states[m.archive]) for name, m in rows]


def read_tar(path: Path) -> TarImages:
    """List the images of an archive and their labels; of the images only headers are read.

    Raises:
        UserError: a file that is missing, truncated or no tar archive, links and other members that are no files,
            names that lead out of the archive, an image without a label or with two, or a label that cannot be read.
    """
    shown = printable_name(path)
    try:
        size = path.stat().st_size
        with tarfile.open(path, "r:", tarinfo=_Header, encoding="utf-8") as archive:
            images = _Reader(path, shown).read(_members(archive, size))
            _check_end(path, archive.offset)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{shown}: no such file") from None
    except _FAULTS as fault:
        reason = printable_name(" ".join(str(fault).split()) or type(fault).__name__)
        raise UserError(f"{shown} is a truncated or damaged tar archive ({reason}){_advice(path)}") from None
    if not images.members:
        raise UserError(f"{shown} holds no images")
    return images


class _Header(tarfile.TarInfo):
    """A header that is checked before anything that it claims is read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        header = super().frombuf(buf, encoding, errors)
        if header.type not in (*_HEADERS, *_FILES, tarfile.DIRTYPE):
            raise tarfile.TarError(f"{header.name!r} is a link or no regular file")
        if header.size < 0 or (header.type in _HEADERS and header.size > _MOST_HEADER_BYTES):
            raise tarfile.TarError(f"a header claims {header.size:,} bytes")
        return header


def _members(archive: tarfile.TarFile, size: int) -> Iterator[tuple[tarfile.TarInfo, Callable[[int], bytes]]]:
    """The files of an archive, one after another, each with a function that reads so many of its bytes."""
    end = 0
    while (member := archive.next()) is not None:
        # the archive would keep them all
        archive.members.clear()  # type: ignore[attr-defined] # of all versions, but not in the types
        if member.size < 0 or archive.offset <= end or member.issparse():
            raise tarfile.TarError(f"{member.name!r} has a wrong size")
        end = archive.offset
        if member.offset_data + member.size > size:
            raise tarfile.TarError(f"{member.name!r} claims {member.size:,} bytes, more than there are")
        if member.isfile():
            yield member, partial(_read_at, archive, member.offset_data)


def _read_at(archive: tarfile.TarFile, offset: int, count: int) -> bytes:
    assert archive.fileobj is not None
    archive.fileobj.seek(offset)
    return archive.fileobj.read(count)


def _check_end(path: Path, offset: int) -> None:
    """An archive ends in blocks of zeros; without one it was truncated between two members."""
    with path.open("rb") as file:
        file.seek(offset)
        rest = file.read(1 << 20)
    if len(rest) < _BLOCK:
        raise tarfile.TarError("its end is missing")
    if rest.strip(b"\0"):
        raise tarfile.TarError(f"unknown data from byte {offset:,} on; archives that were joined are not read")


def _advice(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return ""
    packed = start[:2] == b"\x1f\x8b" or start in (b"\x28\xb5\x2f\xfd", b"\xfd7zX") or start[:3] == b"BZh"
    return "; it is compressed: unpack it to .tar first, for images are read from their places" if packed else ""


class _Reader:
    """Collects images and labels from the members of an archive; `shown` is its name for messages."""

    def __init__(self, path: Path, shown: str) -> None:
        self._path, self._shown = path, shown
        self._images: dict[str, str] = {}
        self._members: dict[str, Member] = {}
        self._labels: dict[str, dict[str, Label]] = {kind: {} for kind in _LABELS}
        self._others: dict[str, int] = {}

    def read(self, members: Iterator[tuple[tarfile.TarInfo, Callable[[int], bytes]]]) -> TarImages:
        """Read all members, and give each image its label."""
        for member, read in members:
            self._check_name(member.name)
            if not all(map(is_visible, member.name.split("/"))):
                continue
            folder, slash, file = member.name.rpartition("/")
            key, _, ending = file.partition(".")
            key, ending = folder + slash + key, ending.lower()
            if f".{ending}" in SUFFIXES:
                self._add_image(key, member)
            elif ending in _LABELS:
                self._add_label(key, ending, member, read)
            else:
                self._others[ending] = self._others.get(ending, 0) + 1
        labels = {name: self._label_of(key, name) for key, name in self._images.items()}
        return TarImages(self._members, labels, self._others)

    def _check_name(self, name: str) -> None:
        if name.startswith("/") or ".." in name.split("/"):
            raise UserError(f"{self._shown}: the name {printable_name(name)!r} leads out of the archive")

    def _add_image(self, key: str, member: tarfile.TarInfo) -> None:
        if key in self._images:
            raise UserError(f"{self._shown} holds two images of the name {printable_name(key)!r}; keep one")
        if member.size > _MOST_IMAGE_BYTES:
            raise UserError(
                f"{self._shown}: {printable_name(member.name)} has {member.size:,} bytes, at most "
                f"{_MOST_IMAGE_BYTES:,} are read"
            )
        self._images[key] = member.name
        self._members[member.name] = Member(self._path, member.offset_data, member.size)

    def _add_label(self, key: str, kind: str, member: tarfile.TarInfo, read: Callable[[int], bytes]) -> None:
        name = f"{self._shown}: {printable_name(member.name)}"
        most = _MOST_LABEL_BYTES[kind]
        if member.size > most:
            # a text of this length is a description
            if kind == "txt":
                return
            raise UserError(f"{name} has {member.size:,} bytes, a label has at most {most:,}")
        label = _LABELS[kind](read(member.size), name)
        if label is None:
            return
        if key in self._labels[kind]:
            raise UserError(f"{name}: {printable_name(key)} has two labels of this kind; keep one")
        self._labels[kind][key] = label

    def _label_of(self, key: str, name: str) -> Label:
        for labels in self._labels.values():
            if key in labels:
                return labels[key]
        shown = printable_name(key)
        raise UserError(
            f"{self._shown}: {printable_name(name)} has no label; a number in {shown}.cls, a name in {shown}.txt, or "
            f'"label" in {shown}.json is expected'
        )


def _read_number(data: bytes, name: str) -> Label:
    try:
        return int(data)
    except ValueError:
        raise UserError(f"{name} must hold a whole number, got {data[:20]!r}") from None


def _read_json(data: bytes, name: str) -> Label | None:
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as fault:
        raise UserError(f"{name} is not JSON ({printable_name(str(fault)[:80])})") from None
    label = record.get("label") if isinstance(record, dict) else None
    if label is not None and (isinstance(label, bool) or not isinstance(label, int | str)):
        raise UserError(f'{name}: "label" must be a whole number or a name, got {printable_name(repr(label)[:40])}')
    return label


def _read_text(data: bytes, name: str) -> Label | None:
    text = data.decode("utf-8", "replace").strip()
    # digits with zeros before them, such as 007, are a name
    is_number = text.isascii() and text.isdecimal() and len(text) < 10 and text == str(int(text))
    return int(text) if is_number else text or None


# the first kind of label that a sample has counts
_LABELS: Mapping[str, Callable[[bytes, str], Label | None]] = {
    "cls": _read_number,
    "json": _read_json,
    "txt": _read_text,
}
