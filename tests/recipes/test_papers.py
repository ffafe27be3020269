"""Recipes of the papers after the first one take some steps on small made-up sets in the official formats."""

from dataclasses import replace

import pytest
from tests.models.test_models import SMALL
from tests.official import write_affnist, write_cifar10, write_cifar100, write_mnist, write_smallnorb, write_svhn

from capsnet.models import MODELS
from capsnet.recipes import RECIPES
from capsnet.training import train

# the models that have no small sizes there
SIZES = {**SMALL, "efficient-capsnet-smallnorb": {"decoder": "upsampling"}}
WRITERS = {
    "hahn2019-cifar10": write_cifar10,
    "hahn2019-smallnorb-azimuth": write_smallnorb,
    "hahn2019-svhn": write_svhn,
    "hinton2018-mnist": write_mnist,
    "hinton2018-smallnorb-small": write_smallnorb,
    "mazzia2021-mnist": write_mnist,
    "mazzia2021-multimnist": write_mnist,
    "mazzia2021-smallnorb": write_smallnorb,
    "rajasegaran2019-cifar10": write_cifar10,
    "rajasegaran2019-mnist": write_mnist,
    "ribeiro2020-affnist": write_affnist,
    "ribeiro2020-smallnorb": write_smallnorb,
    "tsai2020-cifar100": write_cifar100,
}


@pytest.mark.parametrize("name", WRITERS)
def test_recipe_trains(tmp_path, monkeypatch, name):
    recipe = RECIPES.get(name).config
    model = recipe.model.name
    preset = MODELS.get(model)
    options = {**preset.options, **SIZES.get(model, {})}
    monkeypatch.setitem(MODELS._values, model, replace(preset, options=options))
    config = recipe.change(
        data_dir=str(WRITERS[name](tmp_path)),
        steps=2,
        batch_size=3,
        validation=0,
        validation_shift=0,
        stop_at=None,
    )
    run = train(config, out=tmp_path / "run")
    assert run.evaluation()["step"] == 2


def test_rates_are_those_of_the_papers():
    def rates(name, *epochs):
        config = RECIPES.get(name).config
        return [config.optimizer.learning_rate(epoch * 100, 100) for epoch in epochs]

    assert rates("tsai2020-cifar10", 0, 149, 150, 250) == pytest.approx([0.1, 0.1, 0.01, 0.001])
    assert rates("hahn2019-cifar10", 0, 150, 250) == pytest.approx([0.1, 0.01, 0.001])
    assert rates("mazzia2021-mnist", 0, 1, 149) == pytest.approx([5e-4, 0.97 * 5e-4, 5e-5])
    assert rates("rajasegaran2019-mnist", 9, 10, 99) == pytest.approx([1e-3, 5e-4, 1e-3 / 2**9])


def test_reconstruction_weights_are_those_of_the_mean_over_pixels():
    for name, weight, values in (
        ("mazzia2021-mnist", 0.392, 28 * 28),
        ("mazzia2021-smallnorb", 0.392, 2 * 48 * 48),
        ("mazzia2021-multimnist", 0.196, 36 * 36),
        ("rajasegaran2019-cifar10", 0.4, 3 * 64 * 64),
    ):
        assert RECIPES.get(name).config.optimizer.recon_weight * values == pytest.approx(weight)
