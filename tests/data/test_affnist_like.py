import pytest
import torch
from tests.official import write_mnist

from capsnet.data import load_data
from capsnet.data.affnist_like import load_affnist_like, transform_digits


def dot(count=1):
    """A single bright pixel in the middle."""
    digits = torch.zeros(count, 1, 29, 29, dtype=torch.uint8)
    digits[:, :, 14, 14] = 255
    return digits


def test_no_ink_leaves_the_frame():
    digits = torch.zeros(300, 1, 28, 28, dtype=torch.uint8)
    digits[:, :, 4:24, 4:24] = 200
    moved = transform_digits(digits, torch.Generator().manual_seed(0)).float()
    # the area grows by the two scales, 0.8 to 1.2 each; shear and rotation keep it
    growth = moved.sum(dim=(1, 2, 3)) / digits[0].sum()
    assert growth.min() > 0.63
    assert growth.max() < 1.45
    # a digit that reached over the edge would leave its ink on the edge
    assert moved[..., 0, :].max() < 200
    assert moved[..., :, -1].max() < 200


def test_a_small_digit_reaches_every_side():
    moved = transform_digits(dot(500), torch.Generator().manual_seed(0))
    _, _, rows, columns = moved.nonzero(as_tuple=True)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 39, 0, 39)
    assert (moved.flatten(1).amax(dim=1) > 0).all()


def test_an_empty_image_stays_empty():
    assert transform_digits(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.Generator()).max() == 0


def test_same_seed_makes_the_same_test_set(tmp_path):
    write_mnist(tmp_path)
    one, two, other = (load_affnist_like(tmp_path, seed=seed).test.images for seed in (0, 0, 1))
    assert one.equal(two)
    assert not one.equal(other)


def test_variants_differ_and_keep_their_labels(tmp_path):
    test = load_affnist_like(write_mnist(tmp_path), variants=3).test
    assert len(test) == 60
    assert test.labels.view(3, 20).unique(dim=0).shape == (1, 20)
    assert len(test.images[::20].unique(dim=0)) == 3
    assert test.originals == 20
    assert load_affnist_like(tmp_path).test.originals is None


@pytest.mark.real_data
def test_transformed_digits_have_the_counts_of_mnists_test_set(data_dir):
    dataset = load_data("affnist-like", data_dir=data_dir)
    assert dataset.test.counts() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert dataset.test.image_shape == dataset.train.image_shape == (1, 40, 40)
