from tests.official import write_mnist

from capsnet.data import load_data
from capsnet.data.examples import example_images
from capsnet.data.multimnist import load_multimnist
from capsnet.data.pairs import Pairing


def test_pairs_are_made_of_mnist_in_the_papers_frame(tmp_path):
    dataset = load_data("multimnist", data_dir=write_mnist(tmp_path))
    assert dataset.train.images.equal(load_data("mnist", data_dir=tmp_path).train.images)
    assert dataset.pairing == Pairing(padding=4, shift=4, pairs_per_digit=1, seed=0)
    assert dataset.input_shape == (1, 36, 36)


def test_pairing_is_settable(tmp_path):
    dataset = load_multimnist(write_mnist(tmp_path), pairing=Pairing(padding=2, pairs_per_digit=1000))
    assert dataset.input_shape == (1, 32, 32)


def test_examples_are_pairs(tmp_path):
    dataset = load_data("multimnist", data_dir=write_mnist(tmp_path))
    images = example_images(dataset, 3, 8)
    assert images.shape == (2, 1, 36, 36)
    assert images.equal(example_images(dataset, 3, 8))
    assert images[0].count_nonzero() > (dataset.train.images[3] > 0).sum()
