import torch

from capsnet.data.multimnist_masks import MaskedImages
from capsnet.figures.segmentation import draw_segmentation, overlay_masks


def test_pixels_have_the_colour_of_their_digit():
    masks = torch.zeros(1, 3, 1, 4, dtype=torch.bool)
    masks[0, 1, 0, :2] = masks[0, 0, 0, 1:3] = True
    colors = overlay_masks(torch.zeros(1, 1, 1, 4), masks, torch.tensor([[1, 0]]))[0, :, 0].T
    assert colors.unique(dim=0).shape == (4, 3)
    assert colors[1].tolist() == [1, 1, 1]
    assert colors[3].tolist() == [0, 0, 0]


def test_a_figure_shows_the_dice_of_each_model():
    masks = torch.zeros(2, 3, 4, 4, dtype=torch.bool)
    masks[:, :2] = True
    images = MaskedImages(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), masks, torch.tensor([[0, 1], [1, 0]]))
    figure = draw_segmentation(images, {"exact": masks, "empty": torch.zeros_like(masks)})
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "0 and 1\n1.00\n0.00" in texts


def test_a_class_that_is_not_in_the_image_is_never_painted_over():
    masks = torch.ones(1, 3, 1, 1, dtype=torch.bool)
    labels = torch.tensor([[1, 0]])
    everything = overlay_masks(torch.zeros(1, 1, 1, 1), masks, labels)
    only_absent = overlay_masks(
        torch.zeros(1, 1, 1, 1), masks & torch.tensor([False, False, True])[:, None, None], labels
    )
    assert everything.equal(only_absent)
