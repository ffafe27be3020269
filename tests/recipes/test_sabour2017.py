"""Each recipe of the paper takes some steps on a small made-up set in the official format, and is read again."""

import json

import pytest
from tests.official import write_affnist, write_cifar10, write_mnist, write_smallnorb, write_svhn

import capsnet
from capsnet.inference.evaluate import evaluate, load_data_for
from capsnet.recipes import RECIPES
from capsnet.runs.built import as_built
from capsnet.runs.weights import count_parameters, on_meta
from capsnet.training import train

SMALL = {"stem_channels": 4, "num_types": 2}
WRITERS = {
    "affnist": write_affnist,
    "affnist-cnn": write_affnist,
    "cifar10": write_cifar10,
    "multimnist": write_mnist,
    "multimnist-cnn": write_mnist,
    "smallnorb": write_smallnorb,
    "svhn": write_svhn,
}


@pytest.mark.parametrize(
    ("name", "seen", "count"),
    [
        ("affnist", (1, 40, 40), 13_475_648),
        ("cifar10", (3, 24, 24), 22_476_288),
        ("multimnist", (1, 36, 36), 11_361_808),
        ("multimnist-cnn", (1, 36, 36), 24_563_978),
    ],
)
def test_networks_have_the_papers_sizes(name, seen, count):
    config = RECIPES.get(f"sabour2017-{name}").config
    options = {"image_shape": seen, **config.model.options}
    if not name.endswith("cnn"):
        options["decoder"] = as_built(config).optimizer.recon_weight > 0
    with on_meta():
        assert count_parameters(capsnet.create_model(config.model.name, **options)) == count


@pytest.mark.parametrize("name", WRITERS)
def test_recipe_trains_and_its_weights_prepare_images_the_same_way(tmp_path, name, small_cnns):
    WRITERS[name](tmp_path / "data")
    recipe = RECIPES.get(f"sabour2017-{name}").config
    options = {} if name.endswith("cnn") else {**recipe.model.options, **SMALL}
    config = recipe.change(data_dir=str(tmp_path / "data"), model_options=options, steps=3, batch_size=4, validation=4)
    run = train(config, out=tmp_path / "run")
    stored = run.evaluation()["test"]
    model = capsnet.load(run.folder)
    again = evaluate(model, load_data_for(model, recipe.data.name, data_dir=tmp_path / "data")).to_dict()
    assert json.loads(json.dumps(again)) == stored
    assert ("digit_error_percent" in stored) == (recipe.data.name == "multimnist")
    assert (stored["reconstruction_mse"] is None) == (name in ("cifar10", "affnist-cnn", "multimnist-cnn"))
