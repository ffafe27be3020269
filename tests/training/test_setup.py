import json
from dataclasses import asdict, replace

import pytest
from tests.conftest import TINY

from capsnet.data import load_data
from capsnet.data.inputs import Inputs
from capsnet.data.pairs import Pairing
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
)
from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.routing import ROUTINGS, Routing
from capsnet.runs import RunConfig
from capsnet.runs.built import as_built
from capsnet.runs.options import keep_decided
from capsnet.runs.sections import AugmentationConfig
from capsnet.training.run import train
from capsnet.training.setup import augmentation, specify


def test_held_out_images_of_pairs_cannot_be_moved():
    dataset = replace(load_data("digits"), pairing=Pairing())
    with pytest.raises(UserError, match="validation_shift"):
        specify(TINY.change(validation_shift=1), dataset)


@pytest.mark.parametrize(
    ("model", "changes", "routing", "iterations"),
    [
        ("em-capsnet-small", {}, "em", 3),
        ("em-capsnet-small", {"routing": "uniform"}, "uniform", None),
        ("attention-capsnet", {}, "inverted-dot-product", 2),
        ("attention-capsnet", {"iterations": 1}, "inverted-dot-product", 1),
        ("capsnet-tiny", {"routing": "em", "iterations": 2}, "em", 2),
    ],
)
def test_model_made_for_another_routing_keeps_it_unless_one_is_named(model, changes, routing, iterations):
    config = TINY.change(model=model, recon_weight=0.0, **changes)
    built = specify(config, load_data("digits")).build()
    (used, *_) = [part for part in built.modules() if isinstance(part, Routing)]
    assert isinstance(used, ROUTINGS.get(routing))
    # attention iterates over all layers together: the count is the model's
    assert getattr(built, "iterations", getattr(used, "iterations", None)) == iterations


def test_pixel_range_of_the_data_goes_with_the_weights():
    dataset = replace(load_data("digits"), pixel_range=(0.0, 4095.0))
    spec = specify(RunConfig(), dataset)
    assert Inputs.from_dict(json.loads(json.dumps(asdict(spec.inputs)))).pixel_range == (0.0, 4095.0)


def test_nothing_is_varied_by_a_configuration_that_switches_nothing_on():
    assert augmentation(AugmentationConfig(shift=0)) == Augmentation()


def test_transforms_come_in_the_order_of_older_runs():
    config = AugmentationConfig(rotation=15.0, squeeze=3, place=True, erase=4, flip=True, brightness=63.0, contrast=0.8)
    whole = (Shift(2), Rotate(15.0), Squeeze(3), Place(), Erase(4))
    colors = (Brightness(63.0), Contrast(0.8))
    assert augmentation(config) == Augmentation(whole, (Flip(), *colors))
    assert augmentation(replace(config, color_first=True)) == Augmentation(whole, (Flip(),), colors)


def test_recipes_have_the_augmentation_of_their_sources():
    # EscVM/Efficient-CapsNet, utils/pre_process_mnist.py: rotate, shift, squish, erase
    mazzia = (Rotate(30.0, 0.5, "normal"), Place("normal"), Squeeze(7, "normal"), Erase(4, (4, 22)))
    # XifengGuo/CapsNet-Keras, capsulenet.py: width_shift_range and height_shift_range 0.1
    keras, first = Shift(2.8, "bilinear", "edge"), Shift(2.8, "nearest", "edge")
    for name, stored in (
        ("mazzia2021-mnist", mazzia),
        ("capsnet-keras-mnist", (keras,)),
        ("capsnet-keras-first-mnist", (first,)),
    ):
        assert augmentation(RECIPES.get(name).config.augmentation) == Augmentation(stored)


@pytest.mark.parametrize("changes", [{"shift_interpolation": "bilinear"}, {"shift_fill": "edge"}, {"rotation": 5.0}])
def test_pairs_are_shifted_by_whole_pixels_only(changes):
    dataset = replace(load_data("digits"), pairing=Pairing())
    with pytest.raises(UserError, match="data that are pairs can only be shifted by whole pixels"):
        specify(TINY.change(**changes), dataset)


def test_erased_square_beyond_the_image_is_refused():
    with pytest.raises(UserError, match="erase_corners must be at most 25 for a square of 3 in these images, got 26"):
        specify(TINY.change(erase=3, erase_corners=(0, 26)), load_data("digits"))


def test_what_a_configuration_leaves_open_stays_as_it_was_decided_at_the_start():
    before = as_built(TINY.change(precision="bf16", pixel_range=(0.0, 4095.0)))
    config = keep_decided(before, TINY.change(epochs=7))
    assert (config.run.precision, config.data.pixel_range, config.optimizer.epochs) == ("bf16", (0.0, 4095.0), 7)
    assert keep_decided(before, TINY.change(precision="fp32")).run.precision == "fp32"
    config = keep_decided(before, TINY.change(steps=20))
    assert (config.optimizer.epochs, config.optimizer.steps) == (TINY.optimizer.epochs, 20)


def test_two_models_are_refused(scans, tmp_path):
    with pytest.raises(UserError, match="two models are given, 'unet' and 'segcaps-small'"):
        train("unet", model="segcaps-small", data=scans, out=tmp_path / "run")
