"""Bounds of numeric arguments, and choices. The rooms hold tables of bounds; every number is checked here.

NaN, infinity, truth values and integers beyond 64 bits are always refused.
"""

import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real
from typing import Any, Literal, Union, cast, get_args, get_origin

from capsnet.errors import UserError


@dataclass(frozen=True)
class Bound:
    """Bounds of an argument.

    Args:
        low: smallest value.
        high: largest value.
        whole: integers only.
        above: `low` itself is refused.
        below: `high` itself is refused.
    """

    low: int | float
    high: int | float
    whole: bool = False
    above: bool = False
    below: bool = False

    def check(self, name: str, value: object, *, or_none: bool = False) -> None:
        """Refuse numbers outside the bounds.

        Args:
            name: the argument's name, for the message.
            value: a number, or a sequence of numbers that are checked one by one.
            or_none: mention in the message that None is allowed too.

        Raises:
            UserError: a number is not within the bounds.
        """
        for number in value if isinstance(value, list | tuple) else (value,):
            reason = self._refuses(number)
            if reason is not None:
                raise UserError(f"{name} must be {reason}{' or None' if or_none else ''}, got {number!r}")

    def _refuses(self, number: object) -> str | None:
        """The requirement that a value violates; None if it is within the bounds."""
        if isinstance(number, bool) or not isinstance(number, Integral if self.whole else Real):
            return "a whole number" if self.whole else "a number"
        if not isinstance(number, Integral) and not isfinite(number):
            return "a finite number"
        # compare integers exactly: they may exceed the precision of a float
        number = cast(int | float, number)
        if number < self.low or (self.above and number == self.low):
            return f"{'above' if self.above else 'at least'} {self.low:g}"
        if number > self.high or (self.below and number == self.high):
            high = f"{self.high:,}" if self.whole else f"{self.high:g}"
            return f"{'below' if self.below else 'at most'} {high}"
        return None


def whole(low: int, high: int) -> Bound:
    """Integers from `low` to `high`."""
    return Bound(low, high, whole=True)


def check_numbers(bounds: Mapping[str, Bound], **values: object) -> None:
    """Check arguments by their names.

    Args:
        bounds: a table with a row for each argument.
        values: numbers, or tuples of them; None, for an argument without a value, is skipped.

    Raises:
        UserError: a value out of bounds.
    """
    for name, value in values.items():
        if value is not None:
            bounds[name].check(name, value)


def check_choice(name: str, value: object, annotation: object) -> None:
    """Check an argument that must be one of several words, or a truth value; one of another kind is not checked.

    Args:
        name: of the argument.
        value: given.
        annotation: of the argument: `bool`, a `Literal`, or one of these or None.

    Raises:
        UserError: another value.
    """
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if any(kind not in (bool, type(None)) and get_origin(kind) is not Literal for kind in kinds):
        return
    if bool in kinds:
        choices += [True, False]
    # 1 == True, but is not a bool
    fits = any(type(value) is type(choice) and value == choice for choice in choices)
    if not fits and not (value is None and type(None) in kinds):
        raise UserError(f"{name} must be {' or '.join(map(repr, choices))}, got {value!r}")


def check_kind(name: str, value: object, annotation: object) -> None:
    """Check that an argument is of the kind that its annotation names: a number, text, list, mapping, word or object.

    Args:
        name: of the argument.
        value: given.
        annotation: of the argument; one of another form is not checked.

    Raises:
        UserError: a value of another kind, or another word than those of a `Literal`.
    """
    if annotation in (inspect.Parameter.empty, Any, object):
        return
    check_choice(name, value, annotation)
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    words = []
    for kind in kinds:
        origin = get_origin(kind) or kind
        if origin is Literal:
            fits, word = value in get_args(kind), " or ".join(map(repr, get_args(kind)))
        elif origin in (int, float):
            # their bounds decide which numbers fit
            fits, word = isinstance(value, Real), "a whole number" if origin is int else "a number"
        elif origin in (list, tuple, Sequence):
            fits, word = isinstance(value, Sequence) and not isinstance(value, str | bytes), "a list"
        elif isinstance(origin, type) and origin is not Any:
            fits, word = isinstance(value, origin), _KINDS.get(origin, origin.__name__)
        else:
            return
        if fits:
            return
        words.append(word)
    raise UserError(f"{name} must be {' or '.join(words)}, got {value!r}")


_KINDS: Mapping[type, str] = {bool: "True or False", str: "a text", Mapping: "a mapping", type(None): "None"}


def check_iterations(iterations: int) -> None:
    """Check the number of routing iterations.

    Raises:
        UserError: it is below 1, not a whole number, or an array.
    """
    # a compiler traces through this check
    if getattr(iterations, "shape", ()):
        raise UserError("iterations must be a whole number, got an array; give the arguments after the votes by name")
    if type(iterations) is not int and (isinstance(iterations, bool) or not isinstance(iterations, Integral)):
        raise UserError(f"iterations must be a whole number, got {iterations!r}")
    if iterations < 1:
        raise UserError(f"iterations must be at least 1, got {iterations}")
