from dataclasses import replace

import pytest
import torch

from capsnet.data import Dataset, ImageData, hold_out, load_data
from capsnet.data.dataset import split_by_class
from capsnet.errors import UserError


def data(count=20, labels=None):
    images = torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1)
    return ImageData(images, torch.arange(count) % 2 if labels is None else labels, ("a", "b"))


def test_different_counts_are_refused():
    with pytest.raises(UserError, match="3 images but 2 labels"):
        data(3, torch.zeros(2, dtype=torch.long))


def test_no_images_are_refused():
    with pytest.raises(UserError, match="no images"):
        data(0)


def test_label_without_a_class_is_refused():
    with pytest.raises(UserError, match="labels must be 0 to 1, got 0 to 2"):
        data(3, torch.tensor([0, 1, 2]))


@pytest.mark.parametrize(("share", "count"), [(0.25, 5), (3, 3), (0, 0), (0.001, 1)])
def test_validation_is_held_out_of_training(share, count):
    train, validation = hold_out(data(), share, seed=3)
    held = set(validation.images.flatten().tolist()) if validation else set()
    assert len(held) == count
    assert held | set(train.images.flatten().tolist()) == set(range(20))
    assert len(train) == 20 - count


def test_same_seed_holds_out_the_same_images():
    one, two, other = (hold_out(data(), 0.3, seed=seed)[1].images for seed in (1, 1, 2))
    assert one.equal(two)
    assert not one.equal(other)


def test_validation_may_not_take_everything():
    with pytest.raises(UserError, match="must leave images to train on"):
        hold_out(data(), 20, seed=0)


def test_draw_of_data_without_names_is_what_it_was():
    """Validation splits of runs that were made before must repeat."""
    _, validation = hold_out(data(), 0.3, seed=3)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(3))
    assert validation.images.flatten().tolist() == sorted(order[:6].tolist())


def test_the_last_image_of_a_class_stays_in_training_whatever_the_seed():
    rare = data(labels=torch.tensor([0] * 19 + [1]))
    for seed in range(30):
        train, validation = hold_out(rare, 0.2, seed=seed)
        assert (train.counts(), validation.counts()) == ([15, 1], [4, 0])


def test_files_are_held_out_by_their_names_class_by_class():
    files = tuple(f"{number}.png" for number in range(20))
    named = replace(data(), files=files)
    _, validation = hold_out(named, 0.2, seed=0)
    order = torch.arange(20).flip(0)
    assert set(hold_out(named.select(order), 0.2, seed=0)[1].files) == set(validation.files)
    assert min(validation.counts()) > 0
    assert hold_out(named, 0.2, seed=1)[1].files != validation.files


def test_images_that_are_not_uint8_are_refused(unchecked):
    images = data().images
    with pytest.raises(UserError, match=r"images must be uint8 .* got torch\.float32; Dataset\.from_arrays scales"):
        ImageData(images.float() / 255, data().labels, ("a", "b"))
    with pytest.raises(UserError, match=r"labels m, got shapes \(20, 1, 1, 1\) and \(20, 1\)"):
        ImageData(images, data().labels[:, None], ("a", "b"))


def test_split_by_class_takes_its_share_of_each_class():
    labels = torch.tensor([0] * 10 + [1] * 5 + [2] * 2)
    first, second = split_by_class(labels, 0.2, seed=0)
    assert torch.bincount(labels[second]).tolist() == [2, 1, 1]
    assert sorted(torch.cat([first, second]).tolist()) == list(range(17))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0.0, 1.0]), "labels must be whole numbers, got torch.float32"),
        (torch.tensor([1, 2]), "labels must be 0 to 1, got 1 to 2; subtract 1"),
        (torch.tensor([[0], [1]]), "labels m, got shapes"),
    ],
)
def test_labels_of_another_kind_are_refused(labels, message):
    with pytest.raises(UserError, match=message):
        ImageData(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), labels, ("a", "b"))


def test_pixel_range_of_a_data_set_by_name_is_refused():
    with pytest.raises(UserError, match="pixel_range must be left out, got 0 and 100: digits has 8 bits"):
        load_data("digits", pixel_range=(0.0, 100.0))


def test_parts_with_their_classes_in_another_order_are_refused():
    other = replace(data(), class_names=data().class_names[::-1])
    with pytest.raises(UserError, match=r"set: test must have the classes of train in the same order, .* renumber"):
        Dataset("set", data(), other)
    with pytest.raises(UserError, match="set: validation must have the classes of train"):
        Dataset("set", data(), data(), validation=other)


def test_parts_with_images_of_another_shape_are_refused():
    smaller = replace(data(), images=torch.zeros(20, 1, 5, 5, dtype=torch.uint8))
    with pytest.raises(UserError, match=r"set: test must have images of the shape of train, .*, got \(1, 5, 5\)"):
        Dataset("set", data(), smaller)
