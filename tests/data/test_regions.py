"""Regions and filters in NumPy compute what SciPy computes."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from capsnet.data.regions import center_of_mass, dilate, find_box, label, smooth

SHAPES = [(1, 1), (1, 7), (9, 2), (30, 41)]


def draw_mask(shape, share):
    return np.random.default_rng(0).random(shape) < share


def draw_grey(shape):
    return (np.random.default_rng(0).random(shape) * 255).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0, 0.3, 0.6, 1])
@pytest.mark.parametrize("diagonal", [False, True])
def test_label_numbers_regions_as_scipy_does(shape, share, diagonal):
    mask = draw_mask(shape, share)
    labels, count = label(mask, diagonal=diagonal)
    expected, number = ndimage.label(mask, np.ones((3, 3)) if diagonal else None)
    assert count == number
    np.testing.assert_array_equal(labels, expected)


def test_label_follows_a_spiral():
    mask = np.zeros((9, 9), bool)
    mask[0], mask[:, 8], mask[8], mask[2:, 0], mask[2, :7], mask[2:7, 6], mask[6, 2:7] = (True,) * 7
    labels, count = label(mask)
    assert count == 1
    np.testing.assert_array_equal(labels, mask)


def test_box_holds_a_region():
    pieces, number = label(draw_mask((30, 41), 0.3))
    assert [find_box(pieces == k + 1) for k in range(number)] == ndimage.find_objects(pieces)


@pytest.mark.parametrize("shape", SHAPES)
def test_dilate_adds_neighbours_as_scipy_does(shape):
    mask = draw_mask(shape, 0.1)
    np.testing.assert_array_equal(dilate(mask, 2), ndimage.binary_dilation(mask, iterations=2))


@pytest.mark.parametrize("shape", SHAPES)
def test_smooth_computes_what_scipy_computes(shape):
    grey = draw_grey(shape)
    # one rounding to float32 after each axis
    np.testing.assert_allclose(smooth(grey, 0.7), ndimage.gaussian_filter(grey, 0.7), rtol=2.5e-7)


def test_center_of_mass_is_that_of_scipy():
    assert center_of_mass(draw_grey((20, 13))) == ndimage.center_of_mass(draw_grey((20, 13)))


def test_prediction_from_an_onnx_file_imports_neither_scipy_nor_a_type_checker():
    code = """
import sys
from capsnet.cli.parse import parse
from capsnet.cli.predict import Predict
import capsnet.interop.onnx_answers
parse(Predict, ["model.onnx", "a.png", "b.png", "--as-is"])
print(*{"scipy", "torch", "jaxtyping", "typeguard", "numpy.ma"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
