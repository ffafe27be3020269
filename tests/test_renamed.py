"""Old names of arguments still work, with a warning."""

import pytest
import torch

from capsnet import create_model
from capsnet.errors import UserError
from capsnet.layers import ConvCapsules, DenseCapsules
from capsnet.renamed import current_names, renamed


@renamed({"sides": lambda sides, options: sides * options.get("factor", 1)}, side="size", sides="area")
class Box:
    def __init__(self, size=1, *, area=1, factor=1):
        self.values = (size, area, factor)


def test_old_name_works_with_a_warning():
    with pytest.warns(DeprecationWarning, match="side is now called size"):
        assert Box(side=3).values == (3, 1, 1)


def test_old_value_becomes_the_new_one():
    with pytest.warns(DeprecationWarning, match="sides is now called area"):
        assert Box(2, sides=3, factor=5).values == (2, 15, 5)


def test_argument_under_both_names_is_refused():
    with pytest.raises(UserError, match="side is the old name of size: give size only"):
        current_names(Box, {"side": 3, "size": 3})


def test_names_from_a_file_do_not_warn():
    assert current_names(Box, {"side": 3, "other": 4}, warn=False) == {"size": 3, "other": 4}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("capsnet-tiny", {"primary_types": 2, "primary_dim": 4}, {"num_types": 2, "child_dim": 4}),
        ("deepcaps", {"types": 2, "dims": (2, 3, 4, 4)}, {"num_types": 2, "pose_dims": (2, 3, 4, 4)}),
        ("em-capsnet-tiny", {"pose_side": 3}, {"pose_shape": (3, 3)}),
        ("self-routing-capsnet", {"pose_dim": 4, "class_dim": 6}, {"child_dim": 4, "parent_dim": 6}),
    ],
)
def test_models_take_old_names(name, old, new):
    with torch.device("meta"):
        with pytest.warns(DeprecationWarning, match="is now called"):
            before = create_model(name, **old)
        assert repr(before) == repr(create_model(name, **new))


@pytest.mark.parametrize(("rows", "shape"), [(1, None), (2, (2, 3))])
def test_layers_take_rows_in_place_of_a_shape(rows, shape):
    with pytest.warns(DeprecationWarning, match="pose_rows is now called pose_shape"):
        layer = DenseCapsules(5, 3, child_dim=6, parent_dim=4, pose_rows=rows)
    assert layer.pose_shape == shape


def test_layers_take_old_names_of_types():
    with pytest.warns(DeprecationWarning, match="parent_types is now called num_parent_types"):
        assert ConvCapsules(2, parent_types=3).num_parent_types == 3
