"""Every option that a recipe sets has its origin, and no origin is left over from an option that was changed back."""

import re

import pytest

from capsnet.recipes import RECIPES
from capsnet.recipes.recipe import OWN
from capsnet.runs import RunConfig

DEFAULTS = RunConfig().options()
# a recipe is its data: its name and its source say that
NAMES = {"recipe", "data"}
# no run is without these, so they have an origin at their default too
ALWAYS = {"model", "batch_size", "lr", "recon_weight", "shift", "validation"}
PLACE = re.compile(r"[\w-]+/[\w.-]+@[0-9a-f]{7} [^:]+:\d+(-\d+)?(, ([^:, ]+:)?\d+(-\d+)?)*( .+)?")


def changed(config):
    return {name for name, value in config.options().items() if value != DEFAULTS[name]} - NAMES


@pytest.mark.parametrize("name", RECIPES.names())
def test_each_option_that_a_recipe_sets_has_its_origin(name):
    recipe = RECIPES.get(name)
    length = {"steps" if recipe.config.optimizer.steps else "epochs"}
    assert (changed(recipe.config) | ALWAYS | length) - set(recipe.settings) == set()


@pytest.mark.parametrize("name", RECIPES.names())
def test_no_origin_is_of_an_option_that_the_recipe_leaves_off(name):
    recipe = RECIPES.get(name)
    # what is on by default, the batch size for instance, is a setting of the source's as well
    on = {option for option, value in DEFAULTS.items() if value and not isinstance(value, bool)}
    # None: 0.0005 for a model with a decoder
    on |= {"recon_weight"}
    unused = {"epochs"} if recipe.config.optimizer.steps else {"steps"}
    assert set(recipe.settings) - changed(recipe.config) - on == set()
    assert set(recipe.settings) & (unused | NAMES) == set()


@pytest.mark.parametrize("name", RECIPES.names())
def test_an_origin_is_a_line_of_code_a_citation_or_a_choice(name):
    for option, origin in RECIPES.get(name).settings.items():
        known = origin.startswith(OWN) or origin.endswith("(cited, not read)") or PLACE.fullmatch(origin)
        assert known, f"{option}: {origin!r}"


def test_hahn2019_has_the_settings_of_the_authors():
    for name, epochs, milestones, weight in (
        ("hahn2019-cifar10", 350, (150, 250), 0.1),
        ("hahn2019-svhn", 200, (100, 150), 0.1),
        ("hahn2019-smallnorb-azimuth", 200, (100, 150), 0),
        ("hahn2019-smallnorb-elevation", 200, (100, 150), 0),
    ):
        config = RECIPES.get(name).config
        length = config.optimizer
        assert (length.epochs, length.lr_milestones, config.data.validation) == (epochs, milestones, weight)
        assert (length.batch_size, length.weight_decay) == (64, 1e-4)
        assert config.model.options == {"num_types": 32}


def test_ribeiro2020_holds_out_and_prepares_as_the_authors():
    svhn, affnist = (RECIPES.get(f"ribeiro2020-{data}").config for data in ("svhn", "affnist"))
    # 1,000 of each of 10 classes, a patch of 32 out of 32 + 2 * 4 pixels; 500 of each of 10 classes, centred
    assert (svhn.data.validation, svhn.augmentation.shift) == (10_000, 4)
    assert (affnist.data.validation, affnist.data.validation_shift) == (5000, 0)
    assert not svhn.augmentation.standardize
    assert not affnist.augmentation.standardize


def test_hinton2018_sees_mnist_through_patches():
    config = RECIPES.get("hinton2018-mnist").config
    assert (config.augmentation.crop, config.augmentation.shift) == (24, 0)
