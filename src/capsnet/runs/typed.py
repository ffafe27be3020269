"""Validate JSON from files against types before use."""

import dataclasses
import json
import math
import types
from collections.abc import Callable, Mapping, Sequence
from inspect import isclass
from pathlib import Path
from typing import Annotated, Literal, NotRequired, Required, TypeVar, Union, cast, get_args, get_origin, get_type_hints
from typing import is_typeddict as is_typed_dict

from capsnet.errors import UserError

T = TypeVar("T")

_MAX_DEPTH = 32
_MAX_CHARACTERS = 64 << 20
_MAX_INTEGER = 2**63


def parse_json(text: str | bytes, name: str) -> object:
    """Parse JSON from an untrusted source.

    Args:
        text: UTF-8.
        name: of the file, for messages.

    Raises:
        UserError: the text is not UTF-8 or not JSON, too long, or nested too deeply.
    """
    if len(text) > _MAX_CHARACTERS:
        raise UserError(f"{name} holds {len(text):,} characters of JSON, the limit is {_MAX_CHARACTERS:,}")
    try:
        value: object = json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except UnicodeDecodeError as fault:
        raise UserError(f"{name} is not UTF-8 (byte {fault.start})") from None
    except RecursionError:
        raise UserError(f"{name}: its JSON is nested too deeply, the limit is {_MAX_DEPTH} levels") from None
    except ValueError as fault:
        raise UserError(f"{name} is not JSON ({fault})") from None
    _check_depth(value, name)
    return value


def read_json(path: Path) -> object:
    """Read a JSON file.

    Raises:
        UserError: it cannot be read, or is not JSON; see `parse_json`.
    """
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise UserError(f"{path} cannot be read ({fault.strerror})") from None
    return parse_json(data, str(path))


def read_typed(path: Path, form: Callable[..., T]) -> T:
    """Read a JSON file that holds a `TypedDict` or a dataclass.

    Raises:
        UserError: it cannot be read, is not JSON, or an entry is missing or of another type.

    Example:
        >>> read_typed(folder / "evaluation.json", RunResult)["step"]
    """
    return cast(T, convert(read_json(path), form, str(path)))


def convert(value: object, form: object, name: str, entry: str = "", *, finite: bool = True) -> object:
    """Check a JSON value against a type; convert lists and objects to tuples and dataclasses if the type requires them.

    Args:
        value: from `json.loads`.
        form: a type: `int`, `Literal[...]`, `Sequence[int] | None`, a `TypedDict`, a dataclass and so on. Types that
            JSON does not have are not checked.
        name: of the file, for messages.
        entry: path of the value in the file, such as `test.n`.
        finite: refuse NaN and infinity.

    Raises:
        UserError: an entry is missing, unknown to a dataclass, or of another type.

    Example:
        >>> convert([1, 28, 28], tuple[int, ...], "config.json", "image_shape")
        (1, 28, 28)
    """
    origin, arguments = get_origin(form), get_args(form)
    if origin in (Annotated, NotRequired, Required):
        return convert(value, arguments[0], name, entry, finite=finite)
    if origin in (Union, types.UnionType):
        return _convert_union(value, arguments, name, entry, finite)
    if origin is Literal:
        fits = any(type(value) is type(choice) and value == choice for choice in arguments)
        return value if fits else _refuse(value, f"one of {', '.join(map(repr, arguments))}", name, entry)
    if is_typed_dict(form) or (isclass(form) and dataclasses.is_dataclass(form)):
        return _convert_fields(value, cast(type, form), name, entry, finite)
    if origin is not None and isclass(origin) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            return _refuse(value, "an object", name, entry)
        return {key: convert(item, arguments[1], name, _join(entry, key), finite=finite) for key, item in value.items()}
    if origin is not None and isclass(origin) and issubclass(origin, Sequence):
        return _convert_list(value, origin, arguments, name, entry, finite)
    return _convert_scalar(value, form, name, entry, finite)


def _convert_union(value: object, forms: Sequence[object], name: str, entry: str, finite: bool) -> object:
    faults = []
    for form in forms:
        try:
            return convert(value, form, name, entry, finite=finite)
        except UserError as fault:
            faults.append(fault)
    nested = [form for form in forms if get_origin(form) or dataclasses.is_dataclass(form)]
    # if only one type has entries, its error names the entry
    if len(nested) == 1 and isinstance(value, dict | list):
        raise faults[forms.index(nested[0])]
    return _refuse(value, " or ".join(_words(form) for form in forms), name, entry)


def _convert_fields(value: object, form: type, name: str, entry: str, finite: bool) -> object:
    if not isinstance(value, dict):
        return _refuse(value, "an object", name, entry)
    hints = get_type_hints(form, include_extras=True)
    if is_typed_dict(form):
        required: frozenset[str] = getattr(form, "__required_keys__", frozenset())
    else:
        items = dataclasses.fields(form)
        missing = dataclasses.MISSING
        required = frozenset(item.name for item in items if item.default is item.default_factory is missing)
        hints = {item.name: hints[item.name] for item in items if item.init}
        unknown = sorted(set(value) - set(hints))
        if unknown:
            raise UserError(f"{name} has an unknown entry {_join(entry, unknown[0])!r}; upgrade capsnet")
    absent = sorted(required - set(value))
    if absent:
        raise UserError(f"{name}: the entry {_join(entry, absent[0])!r} is missing")
    converted = {
        key: convert(item, hints[key], name, _join(entry, key), finite=finite) if key in hints else item
        for key, item in value.items()
    }
    return converted if is_typed_dict(form) else form(**converted)


def _convert_list(
    value: object, origin: type, forms: Sequence[object], name: str, entry: str, finite: bool
) -> list[object] | tuple[object, ...] | object:
    if not isinstance(value, list):
        return _refuse(value, "a list", name, entry)
    if origin is tuple and forms[-1] is not Ellipsis:
        if len(value) != len(forms):
            return _refuse(value, f"a list of {len(forms)}", name, entry)
        each = forms
    else:
        each = [forms[0]] * len(value)
    converted = [
        convert(item, form, name, f"{entry}[{k}]", finite=finite)
        for k, (item, form) in enumerate(zip(value, each, strict=True))
    ]
    return tuple(converted) if origin is tuple else converted


def _convert_scalar(value: object, form: object, name: str, entry: str, finite: bool) -> object:
    if form in (None, type(None)):
        return None if value is None else _refuse(value, "null", name, entry)
    if form in (bool, str):
        return value if type(value) is form else _refuse(value, _words(form), name, entry)
    if form in (int, float):
        fits = isinstance(value, int | float if form is float else int) and not isinstance(value, bool)
        if not fits:
            return _refuse(value, _words(form), name, entry)
        if isinstance(value, int) and abs(value) >= _MAX_INTEGER:
            return _refuse(value, "below 2**63", name, entry)
        if finite and isinstance(value, float) and not math.isfinite(value):
            return _refuse(value, "a finite number", name, entry)
        return value
    # JSON has no values of other classes; `object` and type variables are not checked
    if isclass(form) and form is not object:
        return _refuse(value, f"of the type {form.__name__}", name, entry)
    return value


def _refuse(value: object, expected: str, name: str, entry: str) -> object:
    try:
        got = repr(value)
    except ValueError:
        got = "an integer of thousands of digits"
    got = got if len(got) <= 60 else got[:57] + "..."
    raise UserError(f"{name}: {f'the entry {entry!r}' if entry else 'it'} must be {expected}, got {got}")


def _words(form: object) -> str:
    known = {bool: "true or false", int: "an integer", float: "a number", str: "a text", type(None): "null"}
    if isinstance(form, type) and form in known:
        return known[form]
    origin = get_origin(form)
    if origin is Literal:
        return " or ".join(map(repr, get_args(form)))
    return "a list" if isclass(origin) and issubclass(origin, Sequence) else "an object"


def _join(entry: str, key: str) -> str:
    return f"{entry}.{key}" if entry else key


def _check_depth(value: object, name: str) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise UserError(f"{name}: its JSON is nested too deeply, the limit is {_MAX_DEPTH} levels")
