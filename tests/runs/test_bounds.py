"""No number of a configuration is out of bounds, and no field is without bounds."""

from typing import get_args, get_origin, get_type_hints

import pytest

from capsnet.errors import UserError
from capsnet.runs import RunConfig
from capsnet.runs.bounds import BOUNDS
from capsnet.runs.sections import OPTIONS, SECTIONS


def holds_numbers(kind):
    return kind in (int, float) or any(holds_numbers(part) for part in get_args(kind))


TYPES = {name: get_type_hints(SECTIONS[place.section])[place.field] for name, place in OPTIONS.items()}
NUMBERS = [name for name, kind in TYPES.items() if holds_numbers(kind) and not name.endswith("_options")]
# a pair of any finite numbers, the smaller one first
NUMBERS.remove("pixel_range")


def test_every_field_that_holds_numbers_has_bounds():
    assert set(NUMBERS) == set(BOUNDS)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1, 2**70, True])
@pytest.mark.parametrize("name", NUMBERS)
def test_number_out_of_bounds_is_refused_by_name(name, value):
    several = get_origin(TYPES[name]) is tuple
    with pytest.raises(UserError, match=f"{name} must be "):
        RunConfig.from_defaults(**{name: (value,) if several else value})


@pytest.mark.parametrize("pair", [(0.0, float("nan")), (float("-inf"), 1.0), (1.0, 1.0), (2.0, 1.0)])
def test_pixel_range_is_two_finite_numbers_in_ascending_order(pair):
    with pytest.raises(UserError, match="pixel_range must be"):
        RunConfig.from_defaults(pixel_range=pair)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("value", [1, "yes", None])
def test_what_is_no_truth_value_is_refused(value):
    with pytest.raises(UserError, match="flip must be true or false"):
        RunConfig.from_defaults(flip=value)


def test_part_of_an_image_cannot_be_held_out():
    with pytest.raises(UserError, match="validation must be a share below 1 or a whole number"):
        RunConfig.from_defaults(validation=2.5)
