from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pytest
import torch

from capsnet.bounds import Bound, check_choice, check_iterations, check_kind, check_numbers, whole
from capsnet.errors import UserError


@pytest.mark.parametrize(
    ("bound", "value", "words"),
    [
        (whole(0, 5), True, "must be a whole number, got True"),
        (whole(0, 5), 2.0, "must be a whole number, got 2.0"),
        (whole(0, 5), 2**70, "must be at most 5, got 1180591620717411303424"),
        (whole(1, 5), (2, 0), "must be at least 1, got 0"),
        (Bound(0, 1), False, "must be a number, got False"),
        (Bound(0, 1), "0.5", "must be a number, got '0.5'"),
        (Bound(0, 1), 10**400, "must be at most 1"),
        (Bound(0, 1), float("-inf"), "must be a finite number, got -inf"),
        (Bound(0, 1, above=True), 0.0, "must be above 0, got 0.0"),
        (Bound(0, 1, below=True), 1, "must be below 1, got 1"),
    ],
)
def test_number_out_of_bounds_is_refused(bound, value, words):
    with pytest.raises(UserError, match=f"^side {words}"):
        bound.check("side", value)


def test_number_within_bounds_is_taken():
    check_numbers({"a": whole(0, 5), "b": Bound(0, 1)}, a=5, b=1.0)
    check_numbers({"a": whole(0, 5)}, a=None)


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        ("false", bool, "be True or False, got 'false'"),
        (1, bool, "be True or False, got 1"),
        ("odd", Literal["even", "all"] | None, "be 'even' or 'all', got 'odd'"),
    ],
)
def test_another_word_or_truth_value_is_refused(value, annotation, words):
    with pytest.raises(UserError, match=f"^kind must {words}"):
        check_choice("kind", value, annotation)


def test_one_of_several_words_is_taken():
    check_choice("kind", "all", Literal["even", "all"] | None)
    check_choice("kind", None, Literal["even", "all"] | None)
    check_choice("kind", "any", str)


@pytest.mark.usefixtures("unchecked")
def test_iterations_are_a_whole_number():
    with pytest.raises(UserError, match=r"iterations must be a whole number, got 2\.5"):
        check_iterations(2.5)
    for value in ("3", None, True):
        with pytest.raises(UserError, match="iterations must be a whole number, got"):
            check_iterations(value)
    check_iterations(np.int64(3))


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        (512, Sequence[int], "be a list, got 512"),
        ([64], int, r"be a whole number, got \[64\]"),
        ("abc", float, "be a number, got 'abc'"),
        (5, str, "be a text, got 5"),
        ("ab", Sequence[int] | None, "be a list or None, got 'ab'"),
        (5, Mapping[str, object] | None, "be a mapping or None, got 5"),
        ("odd", Literal["even"] | int, "be 'even' or a whole number, got 'odd'"),
    ],
)
def test_value_of_another_kind_is_refused(value, annotation, words):
    with pytest.raises(UserError, match=f"^padding must {words}$"):
        check_kind("padding", value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ([1, 2], Sequence[int]),
        ((1, 2), tuple[int, int] | int),
        (np.int64(3), int),
        (3, float),
        (np.float32(0.5), float | None),
        (None, float | None),
        ("even", Literal["even"] | int),
        (torch.float64, torch.dtype | None),
        ({"a": 1}, Mapping[str, object]),
    ],
)
def test_value_of_the_kind_is_taken(value, annotation):
    check_kind("padding", value, annotation)
