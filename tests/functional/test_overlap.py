import torch

from capsnet.functional import dice_score, iou_score

MASK, TRUE = torch.tensor([[[1, 1, 0]], [[0, 0, 0]]]), torch.tensor([[[1, 0, 0]], [[0, 0, 0]]])


def test_dice_is_twice_the_overlap_over_both_areas():
    assert dice_score(MASK, TRUE).tolist() == [2 / 3, 1]


def test_iou_is_the_overlap_over_the_union():
    assert iou_score(MASK, TRUE).tolist() == [1 / 2, 1]
