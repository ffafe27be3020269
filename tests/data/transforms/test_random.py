import torch

from capsnet.data.transforms.random import draw_normal, draw_uniform


def test_draws_fill_the_range():
    draws = draw_uniform(1000, 0.2, 1.8, torch.Generator().manual_seed(0))
    assert 0.2 <= draws.min() < 0.22
    assert 1.78 < draws.max() <= 1.8


def test_normal_draws_are_clipped_symmetrically():
    draws = draw_normal(20_000, 2.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(draws.max(), torch.tensor(1.9998))
    torch.testing.assert_close(draws.min(), torch.tensor(-1.9998))
