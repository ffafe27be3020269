from dataclasses import dataclass

import pytest
import torch
from tests.official import pixels

from capsnet.data.inputs import Inputs
from capsnet.data.transforms import (
    Augmentation,
    Brightness,
    Contrast,
    Erase,
    Flip,
    Place,
    Rotate,
    Shift,
    Squeeze,
    Transform,
)
from capsnet.data.transforms.brightness import adjust_brightness
from capsnet.data.transforms.contrast import adjust_contrast
from capsnet.errors import UserError

COLORS = (Brightness(63), Contrast(0.8))
ALL = (Shift(2), Rotate(15, chance=0.5), Squeeze(3), Place(), Erase(4), Flip(), *COLORS)


@pytest.fixture
def images():
    return torch.from_numpy(pixels(6, 2, 12, 12))


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("transform", ALL, ids=repr)
def test_each_transform_draws_a_row_for_each_image_and_keeps_type_and_shape(images, transform):
    assert isinstance(transform, Transform)
    draws = transform.draw(6, generator(), (2, 12, 12))
    images = images.float() if transform in COLORS else images
    varied = transform.apply(images, draws)
    assert len(draws) == 6
    assert (varied.shape, varied.dtype) == (images.shape, images.dtype)
    # each image depends on its own numbers alone
    assert transform.apply(images[2:4], draws[2:4]).equal(varied[2:4])


def test_only_what_is_needed_is_drawn():
    assert Augmentation().draw(4, Inputs((1, 8, 8)), generator()) == {}


def test_random_numbers_are_drawn_before_the_patch_for_it_and_after_it():
    everything = Augmentation((Shift(2), Rotate(15)), cropped=(Flip(),), scaled=COLORS)
    names = list(everything.draw(4, Inputs((1, 8, 8), crop=6), generator()))
    assert names == ["stored.0", "stored.1", "crop", "cropped.0", "scaled.0", "scaled.1"]


def test_one_transform_may_come_twice(images):
    twice, inputs = Augmentation((Shift(2), Shift(3))), Inputs((2, 12, 12))
    draws = twice.draw(6, inputs, generator())
    assert not draws["stored.0"].equal(draws["stored.1"])
    expected = Shift(3).apply(Shift(2).apply(images, draws["stored.0"]), draws["stored.1"])
    assert twice.vary(images, draws, inputs).equal(expected.float())


def test_patches_come_from_everywhere_in_the_scaled_image():
    for inputs, last in (
        (Inputs((1, 96, 96), shrink=48, crop=32), 16),
        (Inputs((1, 12, 12), enlarge=24, crop=20), 4),
    ):
        corners = Augmentation().draw(2000, inputs, generator())["crop"]
        assert (corners.min(), corners.max()) == (0, last)


@dataclass(frozen=True)
class Asks:
    """Keeps the shape that it was given."""

    shapes: list

    def draw(self, count, generator, shape):
        self.shapes.append(shape)
        return torch.zeros(count)

    def apply(self, images, draws):
        self.shapes.append(tuple(images.shape[1:]))
        return images


def test_each_list_is_told_the_shape_of_its_images(images):
    inputs, stored, scaled, cropped = Inputs((2, 12, 12), shrink=6, crop=4), Asks([]), Asks([]), Asks([])
    augmentation = Augmentation((stored,), (cropped,), (scaled,))
    augmentation.vary(images, augmentation.draw(6, inputs, generator()), inputs)
    assert stored.shapes == [(2, 12, 12)] * 2
    assert scaled.shapes == [(2, 6, 6)] * 2
    assert cropped.shapes == [(2, 4, 4)] * 2


def test_colour_changes_the_patch_or_first_the_whole_image(images):
    inputs, corner = Inputs((2, 12, 12), crop=4), torch.full((6, 2), 5)
    amounts, factors = torch.linspace(-63, 63, 6), torch.linspace(0.2, 1.8, 6)

    def color(pixels):
        return adjust_contrast(adjust_brightness(pixels, amounts), factors)

    patch, whole = images[:, :, 5:9, 5:9].float(), images.float()
    cifar, norb = Augmentation(cropped=COLORS), Augmentation(scaled=COLORS)
    draws = {"crop": corner, "cropped.0": amounts, "cropped.1": factors}
    torch.testing.assert_close(cifar.vary(images, draws, inputs), color(patch))
    draws = {"crop": corner, "scaled.0": amounts, "scaled.1": factors}
    torch.testing.assert_close(norb.vary(images, draws, inputs), color(whole)[:, :, 5:9, 5:9])


def test_erased_square_is_black_in_what_the_model_sees(images):
    seen = Augmentation((Erase(3),)).vary(images, {"stored.0": torch.full((6, 2), 4)}, Inputs((2, 12, 12)))
    assert seen[:, :, 4:7, 4:7].eq(0).all()
    assert seen[:, :, :4].equal(images[:, :, :4].float())


def test_images_are_turned_and_mirrored(images):
    draws = {"stored.0": torch.full((6,), 90.0), "cropped.0": torch.ones(6, dtype=torch.bool)}
    seen = Augmentation((Rotate(90),), (Flip(),)).vary(images, draws, Inputs((2, 12, 12)))
    torch.testing.assert_close(seen, images.rot90(1, (2, 3)).flip(3).float())


def test_a_transform_without_a_row_for_each_image_is_refused():
    class Broken(Asks):
        def draw(self, count, generator, shape):
            return torch.zeros(1)

    with pytest.raises(UserError, match=r"must return a row for each of 4 images, got \(1,\)"):
        Augmentation((Broken([]),)).draw(4, Inputs((1, 8, 8)), generator())


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("stored", [Shift(2), (Shift,), (2,), [Shift(2)]])
def test_what_is_no_tuple_of_transforms_is_refused(stored):
    with pytest.raises(UserError, match="stored must be a tuple of objects with draw and apply"):
        Augmentation(stored)
