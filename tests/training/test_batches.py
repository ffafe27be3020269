import pytest
import torch
from tests.official import pixels

from capsnet.data import ImageData
from capsnet.data.inputs import Inputs
from capsnet.data.pairs import Pairing
from capsnet.data.standardize import standardize_images
from capsnet.data.transforms import Augmentation, Brightness, Flip, Rotate, Shift
from capsnet.errors import UserError
from capsnet.training.batches import Batches, take


@pytest.fixture
def data():
    return ImageData(torch.from_numpy(pixels(50, 1, 8, 8)), torch.arange(50) % 5, tuple("abcde"))


def batches(data, *, pairing=None, shift=2, **inputs):
    shape = (1, 8, 8) if pairing is None else (1, 8 + 2 * pairing.padding, 8 + 2 * pairing.padding)
    return Batches(data, Inputs(shape, **inputs), [Shift(shift)] if shift else [], pairing)


@pytest.mark.parametrize("pairing", [None, Pairing()])
def test_order_and_draws_depend_on_seed_and_epoch_alone(data, pairing):
    planner = batches(data, pairing=pairing)
    (one, draws), (again, same) = planner.plan_epoch(7, 3), planner.plan_epoch(7, 3)
    assert one.equal(again)
    assert all(draws[name].equal(same[name]) for name in draws)
    assert not one.equal(planner.plan_epoch(7, 4)[0])
    assert not one.equal(planner.plan_epoch(8, 3)[0])
    assert sorted(one.tolist()) == list(range(50))


def test_images_are_moved_and_brought_to_one():
    image = torch.zeros(1, 1, 3, 3, dtype=torch.uint8)
    image[0, 0, 0, 0] = 255
    maker = Batches(ImageData(image, torch.tensor([0]), ("a",)), Inputs((1, 3, 3)), [Shift(2)])
    batch = maker.make(torch.tensor([0]), {"stored.0": torch.tensor([[1, 2]])})
    assert batch.inputs[0, 0, 1, 2] == batch.inputs.sum() == 1
    assert batch.targets.equal(batch.inputs)


def test_targets_stay_where_the_decoder_can_draw(data):
    maker = Batches(data, Inputs((1, 8, 8)), Augmentation(cropped=(Brightness(63),)))
    batch = maker.make(torch.arange(2), {"cropped.0": torch.tensor([63.0, -63.0])})
    assert batch.inputs.max() > 1
    assert batch.inputs.min() < 0
    assert batch.targets.equal(batch.inputs.clamp(0, 1))


def test_reconstructions_of_standardised_images_are_compared_with_pixels(data):
    batch = batches(data, shift=0, standardize=True, crop=4).make(torch.tensor([3]), {"crop": torch.tensor([[1, 2]])})
    patch = data.images[3:4, :, 1:5, 2:6].float()
    torch.testing.assert_close(batch.targets, patch / 255)
    torch.testing.assert_close(batch.inputs, standardize_images(patch))


def test_pairs_have_two_classes_and_two_targets(data):
    maker = batches(data, pairing=Pairing(padding=3), shift=3)
    order, draws = maker.plan_epoch(0, 0)
    batch = maker.make(order[:10], take(draws, slice(10)))
    assert batch.inputs.shape == (10, 1, 14, 14)
    assert batch.labels[:, 0].equal(data.labels[order[:10]])
    assert (batch.labels[:, 0] != batch.labels[:, 1]).all()
    torch.testing.assert_close(batch.inputs, batch.targets.sum(dim=1).clamp(max=1))


def test_pairs_of_an_epoch_are_new_in_the_next(data):
    maker = batches(data, pairing=Pairing())
    partners = []
    for epoch in range(2):
        order, draws = maker.plan_epoch(0, epoch)
        partners.append(draws["partner"][order.argsort()])
    assert (partners[0] != partners[1]).float().mean() > 0.8


def test_what_training_sees_unvaried_is_what_the_model_sees_later(data):
    inputs = Inputs((1, 8, 8), shrink=4, crop=2, standardize=True)
    middle = {"crop": torch.ones(50, 2, dtype=torch.long)}
    batch = Batches(data, inputs, Augmentation()).make(torch.arange(50), middle)
    torch.testing.assert_close(batch.inputs, inputs(data.images))


def uneven():
    labels = torch.tensor([0] * 40 + [1] * 7 + [3] * 3)
    return ImageData(torch.from_numpy(pixels(50, 1, 8, 8)), labels, tuple("abcd"))


def test_balanced_epoch_draws_each_class_equally_often():
    data = uneven()
    maker = Batches(data, Inputs((1, 8, 8)), Augmentation(), balance=True)
    totals = torch.zeros(4, dtype=torch.long)
    for epoch in range(3):
        order, _ = maker.plan_epoch(0, epoch)
        counts = torch.bincount(data.labels[order], minlength=4)
        assert sorted(counts.tolist()) == [0, 16, 17, 17]
        totals += counts
    # the one image more goes round
    assert totals.tolist() == [50, 50, 0, 50]


def test_balanced_epoch_repeats_no_image_before_all_of_its_class_were_drawn():
    data = uneven()
    order, _ = Batches(data, Inputs((1, 8, 8)), Augmentation(), balance=True).plan_epoch(5, 2)
    times = torch.bincount(order, minlength=50)
    for label in (0, 1, 3):
        mine = times[data.labels == label]
        assert mine.max() - mine.min() <= 1


def test_balanced_order_depends_on_seed_and_epoch_alone():
    maker = Batches(uneven(), Inputs((1, 8, 8)), Augmentation(), balance=True)
    order = maker.plan_epoch(7, 3)[0]
    assert order.equal(maker.plan_epoch(7, 3)[0])
    assert not order.equal(maker.plan_epoch(7, 4)[0])
    assert not order.equal(maker.plan_epoch(8, 3)[0])


def test_pairs_cannot_be_balanced(data):
    with pytest.raises(UserError, match="balance is for single images"):
        Batches(data, Inputs((1, 8, 8)), Augmentation(), Pairing(), balance=True)


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation((Rotate(15),)),
        Augmentation((Shift(2), Rotate(15))),
        Augmentation((Shift(2),), cropped=(Flip(),)),
        Augmentation((Shift(2),), scaled=(Brightness(9),)),
        Augmentation((Shift(2.5, interpolation="bilinear"),)),
        Augmentation((Shift(2, fill="edge"),)),
    ],
)
def test_pairs_can_be_shifted_by_whole_pixels_only(data, augmentation):
    with pytest.raises(UserError, match="data that are pairs can be shifted by whole pixels only"):
        Batches(data, Inputs((1, 8, 8)), augmentation, Pairing())


def test_pairs_without_augmentation_stay_where_they_are(data):
    _, draws = Batches(data, Inputs((1, 16, 16)), [], Pairing()).plan_epoch(0, 0)
    assert draws["shift"].eq(0).all()
    assert draws["partner_shift"].eq(0).all()
