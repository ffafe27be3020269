import itertools

import pytest
import torch

from capsnet.data.pairs import Pairing, draw_pairs, draw_partners, fixed_pairs, make_pairs, overlay
from capsnet.errors import UserError


@pytest.fixture
def digits():
    """Ten classes of unequal size; digit k is grey k + 1 all over."""
    labels = torch.arange(40) % 10 * (torch.arange(40) % 3)
    labels = labels % 10
    images = torch.arange(1, 41, dtype=torch.uint8)[:, None, None, None].expand(40, 1, 6, 6).contiguous()
    return images, labels


def test_sum_is_cut_off_at_white():
    first = torch.tensor([0, 100, 200, 255, 255, 1], dtype=torch.uint8)
    second = torch.tensor([0, 155, 100, 255, 0, 255], dtype=torch.uint8)
    assert overlay(first, second).tolist() == [0, 255, 255, 255, 255, 255]


def test_sum_equals_that_of_whole_numbers_for_all_bytes():
    first, second = torch.meshgrid(*[torch.arange(256, dtype=torch.uint8)] * 2, indexing="ij")
    assert overlay(first, second).equal((first.int() + second.int()).clamp(max=255).to(torch.uint8))


def test_partners_are_of_another_class_and_all_such_digits_come():
    pool = torch.tensor([1, 0, 2, 1, 1, 2])
    partners = draw_partners(torch.ones(900, dtype=torch.long), pool, torch.Generator().manual_seed(0))
    counts = torch.bincount(partners, minlength=6)
    assert counts[pool == 1].sum() == 0
    # 300 each are expected, with a standard deviation of 14
    assert (counts[pool != 1] - 300).abs().max() < 60


def test_every_class_finds_partners_in_an_uneven_pool(digits):
    _, labels = digits
    for seed in range(20):
        partners = draw_partners(labels, labels, torch.Generator().manual_seed(seed))
        assert (labels[partners] != labels).all()


def test_one_class_alone_is_refused():
    with pytest.raises(UserError, match="at least two classes"):
        draw_partners(torch.ones(3, dtype=torch.long), torch.ones(3, dtype=torch.long), torch.Generator())


def test_each_digit_is_padded_and_moves_by_its_own_shift():
    first, second = torch.full((1, 1, 2, 2), 200, dtype=torch.uint8), torch.full((1, 1, 2, 2), 90, dtype=torch.uint8)
    pairs = make_pairs(first, second, torch.tensor([[3, 5]]), torch.tensor([[[0, 0], [1, -1]]]), 1)
    assert pairs.singles[0, 0, 0].tolist() == [[0, 0, 0, 0], [0, 200, 200, 0], [0, 200, 200, 0], [0, 0, 0, 0]]
    assert pairs.singles[0, 1, 0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [90, 90, 0, 0], [90, 90, 0, 0]]
    assert pairs.images[0, 0].tolist() == [[0, 0, 0, 0], [0, 200, 200, 0], [90, 255, 200, 0], [90, 90, 0, 0]]


def test_drawn_pair_holds_the_chosen_digit_first(digits):
    images, labels = digits
    chosen = torch.tensor([7, 3, 30])
    pairs = draw_pairs(images, labels, chosen, Pairing(shift=0), torch.Generator().manual_seed(1))
    assert pairs.images.shape == (3, 1, 14, 14)
    assert pairs.labels[:, 0].equal(labels[chosen])
    assert (pairs.labels[:, 0] != pairs.labels[:, 1]).all()
    assert pairs.singles[:, 0, 0, 7, 7].tolist() == [8, 4, 31]
    second = pairs.singles[:, 1, 0, 7, 7].long() - 1
    assert labels[second].equal(pairs.labels[:, 1])


def test_shifts_reach_as_far_as_told_and_no_farther():
    dot = torch.zeros(2, 1, 3, 3, dtype=torch.uint8)
    dot[:, :, 1, 1] = 1
    chosen = torch.zeros(2000, dtype=torch.long)
    pairs = draw_pairs(dot, torch.tensor([0, 1]), chosen, Pairing(4, 4), torch.Generator().manual_seed(0))
    for place in range(2):
        seen = {tuple(p) for p in pairs.singles[:, place, 0].nonzero()[:, 1:].tolist()}
        assert seen == set(itertools.product(range(1, 10), repeat=2))


def test_test_pairs_depend_on_the_seed_alone(digits):
    whole = list(fixed_pairs(*digits, Pairing(pairs_per_digit=2), batch_size=80))
    parts = list(fixed_pairs(*digits, Pairing(pairs_per_digit=2), batch_size=7))
    assert torch.cat([p.images for p in whole]).equal(torch.cat([p.images for p in parts]))
    assert torch.cat([p.labels for p in whole]).equal(torch.cat([p.labels for p in parts]))
    other = next(fixed_pairs(*digits, Pairing(seed=1), batch_size=80))
    assert not other.images.equal(whole[0].images)


def test_every_digit_is_the_base_of_so_many_test_pairs(digits):
    pairs = list(fixed_pairs(*digits, Pairing(pairs_per_digit=3), batch_size=16))
    labels = torch.cat([p.labels for p in pairs])
    assert labels[:, 0].equal(digits[1].repeat(3))
    assert (labels[:, 0] != labels[:, 1]).all()
    assert not labels[:40].equal(labels[40:80])


def test_the_papers_ten_million_pairs_come_a_batch_at_a_time(digits):
    pairs = fixed_pairs(*digits, Pairing(pairs_per_digit=1000), batch_size=5)
    assert len(next(pairs)) == 5


def test_values_out_of_range_are_refused():
    with pytest.raises(UserError, match="pairs_per_digit must be at least 1, got 0"):
        Pairing(pairs_per_digit=0)
