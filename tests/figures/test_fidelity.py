import pytest
import torch

from capsnet.figures.fidelity import compare_with_mean


def test_the_mean_image_itself_is_no_better_than_the_mean():
    images = torch.rand(6, 1, 4, 4)
    fidelity = compare_with_mean(images, images.mean(dim=0).expand_as(images))
    assert fidelity.ratio == pytest.approx(1)
    assert fidelity.words.endswith("the reconstructions are no better than the mean image.")


@pytest.mark.parametrize(("share", "word"), [(0.5, "close to the images"), (0.85, "rough")])
def test_errors_are_named_by_their_share_of_the_mean_s(share, word):
    images = torch.rand(6, 1, 4, 4)
    drawn = images + share * (images.mean(dim=0) - images)
    fidelity = compare_with_mean(images, drawn)
    assert fidelity.ratio == pytest.approx(share**2)
    assert fidelity.words.endswith(f"the reconstructions are {word}.")
