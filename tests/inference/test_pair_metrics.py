import torch

from capsnet.inference.pair_metrics import exact_pairs, find_pairs, match_found

LABELS = torch.tensor([[3, 1], [3, 1], [3, 1], [3, 1], [3, 1]])
FOUND = torch.tensor([[3, 1], [1, 3], [1, 4], [5, 3], [7, 6]])


def test_the_two_longest_capsules_are_what_is_said():
    assert find_pairs(torch.tensor([[0.1, 0.8, 0.3, 0.9], [0.7, 0.2, 0.6, 0.1]])).tolist() == [[3, 1], [0, 2]]


def test_a_pair_is_right_only_where_both_are_found_in_any_order():
    assert exact_pairs(FOUND, LABELS).tolist() == [True, True, False, False, False]


def test_a_missed_digit_was_taken_for_the_capsule_that_is_left():
    assert match_found(FOUND, LABELS).tolist() == [[3, 1], [3, 1], [4, 1], [3, 5], [7, 6]]


def test_digits_that_match_are_those_that_both_have():
    generator = torch.Generator().manual_seed(0)
    draw = torch.stack([torch.randperm(5, generator=generator)[:2] for _ in range(400)]).view(2, 200, 2)
    found, labels = draw
    right = (match_found(found, labels) == labels).sum(dim=1)
    assert right.tolist() == [len(set(f) & set(t)) for f, t in zip(found.tolist(), labels.tolist(), strict=True)]
    assert exact_pairs(found, labels).equal(right == 2)
