import numpy as np
import pytest

from capsnet.kernels.strided_conv.bilinear import MAX_POINTS, axis, tile_size, toom_cook


@pytest.mark.parametrize(("outputs", "taps"), [(1, 1), (3, 5), (3, 4), (4, 5), (6, 3), (2, 7)])
def test_toom_cook_is_a_correlation(outputs: int, taps: int) -> None:
    a, g, d = toom_cook(outputs, taps)
    rng = np.random.default_rng(0)
    places, window = rng.normal(size=outputs + taps - 1), rng.normal(size=taps)
    np.testing.assert_allclose(a @ ((g @ window) * (d @ places)), np.correlate(places, window, "valid"), atol=1e-12)


@pytest.mark.parametrize(
    ("size", "taps", "stride"), [(20, 9, 2), (24, 9, 2), (28, 9, 2), (17, 5, 3), (11, 2, 3), (9, 9, 2)]
)
def test_axis_is_a_strided_correlation(size: int, taps: int, stride: int) -> None:
    form = axis(size, taps, stride)
    rng = np.random.default_rng(0)
    places, window = rng.normal(size=size), rng.normal(size=taps)
    at_places = np.einsum("fpts,s->fpt", form.image, places)
    at_taps = np.einsum("fpk,k->fp", form.window, window)
    outputs = np.einsum("fpt,fp,pto->o", at_places, at_taps, form.result)
    np.testing.assert_allclose(outputs, np.correlate(places, window, "valid")[::stride], atol=1e-12)


@pytest.mark.parametrize(("size", "tile", "products"), [(20, 3, 26), (24, 4, 30), (28, 4, 45), (32, 4, 45)])
def test_tile_size_needs_the_fewest_products(size: int, tile: int, products: int) -> None:
    assert tile_size(size, 9, 2) == tile
    assert axis(size, 9, 2).products == products


def test_tile_size_is_zero_when_the_window_needs_too_many_points() -> None:
    assert tile_size(40, MAX_POINTS + 1, 1) == 0
    assert tile_size(40, MAX_POINTS, 1) == 1
