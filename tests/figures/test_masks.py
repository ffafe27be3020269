import pytest
import torch

from capsnet import UserError
from capsnet.figures.masks import class_colors, draw_masks, frame_masks, paint_masks


def test_a_pixel_has_the_mean_colour_of_its_classes_over_the_image():
    masks = torch.tensor([[[[1, 1, 0]], [[0, 1, 0]]]], dtype=torch.bool)
    painted = paint_masks(torch.full((1, 1, 1, 3), 0.5), masks)[0, :, 0].T
    one, two = (torch.tensor(color) for color in class_colors(2))
    torch.testing.assert_close(painted, torch.stack([0.2 + 0.6 * one, 0.2 + 0.3 * (one + two), torch.full((3,), 0.5)]))


def test_classes_have_distinct_colours():
    assert len(set(class_colors(40))) == 40


def test_a_figure_names_rows_and_classes():
    images, masks = torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.ones(2, 2, 8, 8, dtype=torch.bool)
    figure = draw_masks(images, {"true": masks, "SegCaps": ~masks}, ("cell", "nucleus"))
    assert [text.get_text() for text in figure.axes[0].texts] == ["image", "true", "SegCaps"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cell", "nucleus"]


def test_masks_of_other_classes_are_refused():
    with pytest.raises(UserError, match=r"masks 'true' must be \(1, 2, 8, 8\), as images and class_names"):
        draw_masks(torch.zeros(1, 1, 8, 8), {"true": torch.ones(1, 3, 8, 8, dtype=torch.bool)}, ("a", "b"))


def test_framed_masks_keep_the_aspect_ratio_and_mark_the_same_pixels():
    image = torch.zeros(1, 2, 4, dtype=torch.uint8)
    masks = torch.tensor([[[True, False, False, False], [False] * 4]])
    framed, inside = frame_masks(image, masks, 8)
    assert framed[0, [0, 1, 6, 7]].eq(1).all()
    assert framed[0, 2:6].eq(0).all()
    assert inside[0].nonzero().tolist() == [[2, 0], [2, 1], [3, 0], [3, 1]]
