"""MATLAB 5 files: numeric arrays, alone or as fields of a struct, read in order with each size checked before use.

MathWorks, "MAT-File Format", chapter 1 (level 5 files). A file is a header of 128 bytes and elements: a tag (type and
size), then data. A variable is an element that holds others: flags, sizes, name, numbers. It may be compressed by zlib.
Only the requested variables are read: cells, text, sparse arrays and objects are never built.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from capsnet.data.files import Read, read_most
from capsnet.errors import UserError

_INT8, _UINT8, _INT32, _UINT32, _MATRIX, _PACKED, _UTF8 = 1, 2, 5, 6, 14, 15, 16
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMBERS = range(6, 16)
_OTHER_CLASSES = {1: "a cell array", 2: "a struct", 3: "an object", 4: "text", 5: "a sparse array"}
_STRUCT, _COMPLEX = 2, 0x800
_MOST_AXES, _MOST_TEXT = 8, 1 << 16
_PART = 1 << 16


class _DamageError(Exception):
    """A file that violates the format; the message says how."""


class _Header(NamedTuple):
    """The header of a variable. `kind` is MATLAB's class; None: an empty variable without a class."""

    kind: int | None
    complex: bool
    shape: tuple[int, ...]
    name: str


def read_matlab(read: Read, name: str, variables: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Read numeric arrays from a MATLAB 5 file.

    Args:
        read: returns the next bytes of the file.
        name: the file's name, for messages.
        variables: names, and the largest accepted size of each array in bytes; `struct.field` is a field of a struct.

    Returns:
        The arrays by name, in MATLAB's order (the first axis varies fastest), with all axes. Their type is the stored
        type, which may be smaller than MATLAB's: it stores the doubles 1, 2, 3 in bytes.

    Raises:
        UserError: not a MATLAB 5 file, a damaged file, a missing variable, or a variable that is too large.
    """
    arrays: dict[str, np.ndarray] = {}
    tops = {variable.partition(".")[0] for variable in variables}
    try:
        for header, content in _variables(read, _read_order(read, name)):
            if header.name not in tops:
                continue
            tops.remove(header.name)
            if header.name in variables:
                arrays[header.name] = _read_array(header, content, f"{name}: {header.name}", variables[header.name])
            else:
                arrays |= _read_fields(header, content, name, variables)
            content.finish()
            if not tops:
                break
    except (_DamageError, zlib.error) as fault:
        raise UserError(f"{name}: truncated or damaged MATLAB 5 file ({fault}); fetch it again") from None
    if tops:
        raise UserError(f"{name} holds no variable {min(tops)!r}; is it the official file?")
    return {variable: arrays[variable] for variable in variables}


class _Content:
    """A sequential reader of an element's bytes.

    Args:
        read: returns the next bytes of the file, or of an unpacked element.
        size: size of the element in bytes.
        order: byte order, `<` or `>`.
    """

    def __init__(self, read: Read, size: int, order: str) -> None:
        self.read, self.left, self.order = read, size, order

    def take(self, count: int) -> bytearray:
        """The next `count` bytes."""
        if count > self.left:
            raise _DamageError(f"an element of {count:,} bytes where {self.left:,} are left")
        data = read_most(self.read, count)
        self.left -= count
        if len(data) < count:
            raise _DamageError(f"{count - len(data):,} bytes are missing at its end")
        return data

    def skip(self, count: int) -> None:
        """Skip `count` bytes."""
        while count:
            count -= len(self.take(min(count, _PART)))

    def tag(self) -> tuple[int, int, int]:
        """Type and size of the next element, and its number of padding bytes."""
        word = int(np.frombuffer(self.take(4), self.order + "u4")[0])
        if word >> 16:
            # a small element: its size and type share one word, its data fill the other
            kind, size, filling = word & 0xFFFF, word >> 16, 4 - (word >> 16)
            if filling < 0:
                raise _DamageError(f"a small element of {size} bytes")
            return kind, size, filling
        size = int(np.frombuffer(self.take(4), self.order + "u4")[0])
        return word, size, -size % 8

    def values(self, kinds: Sequence[int], most: int) -> np.ndarray:
        """The values of the next element, which must have one of these types and at most `most` bytes."""
        kind, size, filling = self.tag()
        dtype = np.dtype(self.order + _TYPES.get(_INT8 if kind == _UTF8 else kind, "u1"))
        if kind not in kinds or size > most or size % dtype.itemsize:
            raise _DamageError(f"an element of type {kind} with {size:,} bytes")
        data = self.take(size)
        self.skip(min(filling, self.left))
        return np.frombuffer(data, dtype)

    def text(self) -> str:
        """The next element as text."""
        return self.values((_INT8, _UINT8, _UTF8), _MOST_TEXT).tobytes().decode("latin-1").rstrip("\0")

    def part(self, size: int) -> "_Content":
        """The next `size` bytes as a nested element, which must be finished before reading on."""
        if size > self.left:
            raise _DamageError(f"an element of {size:,} bytes where {self.left:,} are left")
        self.left -= size
        return _Content(self.read, size, self.order)

    def finish(self) -> None:
        """Read to the end."""
        self.skip(self.left)


class _Unpacked(_Content):
    """The content of a compressed element; zlib's checksum is checked at its end."""

    def __init__(self, packed: _Content) -> None:
        self._engine, self._packed = zlib.decompressobj(), packed
        # the size is unknown until the tag inside is read
        super().__init__(self._unpack, 1 << 33, packed.order)

    def _unpack(self, count: int) -> bytes:
        while not self._engine.eof:
            data = self._engine.unconsumed_tail or bytes(self._packed.take(min(self._packed.left, _PART)))
            unpacked = self._engine.decompress(data, count)
            if unpacked:
                return unpacked
            if not data and not self._engine.eof:
                raise _DamageError("packed data that do not end")
        return b""

    def finish(self) -> None:
        """Read to the end, and check that nothing follows."""
        super().finish()
        if self._unpack(1):
            raise _DamageError("packed data longer than the variable in them")


def _read_order(read: Read, name: str) -> str:
    """The byte order, from the file's header."""
    header = read_most(read, 128)
    order = {b"IM": "<", b"MI": ">"}.get(bytes(header[126:]))
    version = int(np.frombuffer(header, (order or "<") + "u2", 1, 124)[0]) if len(header) == 128 else 0
    if version == 0x200 and order:
        raise UserError(f"{name} is a MATLAB 7.3 file, the official one is of MATLAB 5; fetch it again")
    if version != 0x100 or not order:
        raise UserError(f"{name}: truncated, or not a MATLAB 5 file (no such header); fetch it again")
    return order


def _variables(read: Read, order: str) -> Iterator[tuple[_Header, _Content]]:
    """The variables of a file, each with its content after the header; unread content is skipped."""
    while start := read_most(read, 8):
        if len(start) < 8:
            raise _DamageError("bytes are missing at its end")
        kind, size = (int(word) for word in np.frombuffer(start, order + "u4"))
        if kind not in (_MATRIX, _PACKED):
            raise _DamageError(f"an element of type {kind} where a variable must be")
        element = _Content(read, size, order)
        content = _unpack_variable(element) if kind == _PACKED else element
        yield _read_header(content), content
        element.finish()


def _unpack_variable(packed: _Content) -> _Content:
    content = _Unpacked(packed)
    kind, size, _ = content.tag()
    if kind != _MATRIX:
        raise _DamageError(f"an element of type {kind} where a variable must be")
    content.left = size
    return content


def _read_header(content: _Content) -> _Header:
    if content.left == 0:
        return _Header(None, False, (0, 0), "")
    flags = content.values((_UINT32,), 8)
    shape = content.values((_INT32, _UINT32), 4 * _MOST_AXES)
    if len(flags) != 2 or len(shape) < 2 or int(shape.min()) < 0:
        raise _DamageError("a variable without a class or sizes")
    kind = int(flags[0])
    return _Header(kind & 0xFF, bool(kind & _COMPLEX), tuple(int(size) for size in shape), content.text())


def _read_array(header: _Header, content: _Content, name: str, most: int) -> np.ndarray:
    """The numbers of a variable whose header has been read."""
    if header.kind is None:
        return np.zeros(header.shape)
    if header.kind not in _NUMBERS or header.complex:
        got = "complex numbers" if header.kind in _NUMBERS else _OTHER_CLASSES.get(header.kind, "another class")
        raise UserError(f"{name} must be an array of numbers, got {got}; is it the official file?")
    kind, size, filling = content.tag()
    if kind not in _TYPES:
        raise _DamageError(f"numbers of type {kind}")
    stored = np.dtype(content.order + _TYPES[kind])
    shape = "x".join(map(str, header.shape))
    if prod(max(size, 1) for size in header.shape) * stored.itemsize > most:
        raise UserError(f"{name} must take at most {most:,} bytes, got {shape} of {stored.name}; fetch it again")
    if size != prod(header.shape) * stored.itemsize:
        raise _DamageError(f"{shape} numbers of {stored.itemsize} bytes in {size:,} bytes")
    numbers = np.frombuffer(content.take(size), stored)
    content.skip(min(filling, content.left))
    return numbers.astype(stored.newbyteorder("="), copy=False).reshape(header.shape, order="F")


def _read_fields(header: _Header, content: _Content, name: str, variables: Mapping[str, int]) -> dict[str, np.ndarray]:
    """The requested fields of a struct whose header has been read."""
    wanted = [variable for variable in variables if variable.startswith(f"{header.name}.")]
    if header.kind != _STRUCT or prod(header.shape) != 1:
        raise _no_field(name, wanted[0])
    length = content.values((_INT32,), 4)
    names = content.values((_INT8, _UINT8, _UTF8), _MOST_TEXT).tobytes()
    if len(length) != 1 or int(length[0]) < 1 or len(names) % int(length[0]):
        raise _DamageError("a struct without names of its fields")
    width = int(length[0])
    arrays: dict[str, np.ndarray] = {}
    for start in range(0, len(names), width):
        field = f"{header.name}." + names[start : start + width].partition(b"\0")[0].decode("latin-1")
        kind, size, _ = content.tag()
        if kind != _MATRIX:
            raise _DamageError(f"an element of type {kind} where a field must be")
        part = content.part(size)
        if field in wanted and field not in arrays:
            arrays[field] = _read_array(_read_header(part), part, f"{name}: {field}", variables[field])
        part.finish()
    for field in wanted:
        if field not in arrays:
            raise _no_field(name, field)
    return arrays


def _no_field(name: str, variable: str) -> UserError:
    struct, _, field = variable.partition(".")
    return UserError(f"{name}: {struct} must be one struct with a field {field!r}; is it the official file?")
