import pytest

from capsnet.data.inputs import Inputs
from capsnet.errors import UserError
from capsnet.recipes import RECIPES
from capsnet.runs import RunConfig
from capsnet.runs.options import describe_recipe, resume_config
from capsnet.runs.weights import ModelSpec, save_weights


def test_options_change_a_recipe():
    config = RunConfig.from_options("sabour2017-mnist", epochs=1, batch_size=16, lr=2e-3)
    assert (config.optimizer.epochs, config.optimizer.batch_size, config.optimizer.lr) == (1, 16, 2e-3)
    assert config.data.name == RECIPES.get("sabour2017-mnist").config.data.name
    assert config.run.recipe == "sabour2017-mnist"


def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="no option 'batchsize'; did you mean 'batch_size'"):
        RunConfig.from_options(batchsize=16)


def test_an_unknown_recipe_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="did you mean 'quickstart'"):
        RunConfig.from_options("quikstart")


def test_a_value_out_of_range_is_refused():
    with pytest.raises(UserError, match="lr"):
        RunConfig.from_options(lr=-1.0)


def test_images_of_ones_own_take_their_recipe(tmp_path):
    assert RunConfig.from_options(data=tmp_path).run.recipe == "own-images"
    assert RunConfig.from_options("speedrun-mnist", data=tmp_path).run.recipe == "speedrun-mnist"


def test_few_photos_take_the_backbone_whose_weights_are_here(tmp_path, monkeypatch):
    for number in range(4):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    photos = tmp_path / "photos"
    monkeypatch.setattr("capsnet.runs.options.find_weights", lambda name: tmp_path / name)
    config = RunConfig.from_options(data=photos)
    assert config.run.recipe == "own-photos"
    (note,) = describe_recipe(config)
    assert "pre-trained backbone tf_efficientnet_lite0.in1k (weights: " in note
    # options of a network from scratch choose it, and so do many photos
    assert RunConfig.from_options(data=photos, recon_weight=0.1).run.recipe == "own-images"
    assert RunConfig.from_options(data=photos, model="capsnet").run.recipe == "own-images"
    monkeypatch.setattr("capsnet.runs.options.FEW_PHOTOS", 3)
    assert RunConfig.from_options(data=photos).run.recipe == "own-images"


def test_start_from_brings_its_network():
    config = RunConfig.from_options(start_from="efficient-capsnet-mnist")
    assert (config.model.name, config.model.start_from) == ("efficient-capsnet", "efficient-capsnet-mnist")
    assert RunConfig.from_options(start_from="efficient-capsnet-mnist", model="capsnet").model.name == "capsnet"


def test_start_from_brings_the_lists_among_its_options(tmp_path):
    options = {"stem_channels": 4, "num_types": 2, "decoder_hidden": (6, 5)}
    spec = ModelSpec("capsnet", options, tuple("0123456789"), "digit", "digits")
    save_weights(tmp_path / "own.safetensors", spec.build(), spec)
    config = RunConfig.from_options(start_from=tmp_path / "own.safetensors")
    assert config.model.options == options


def test_what_a_run_computes_cannot_change_on_resume():
    before = RunConfig.from_defaults(epochs=1)
    assert resume_config(before, {"epochs": 2}).optimizer.epochs == 2
    with pytest.raises(UserError, match="lr cannot change on resume"):
        resume_config(before, {"lr": 0.5})


@pytest.mark.parametrize(
    ("before", "options", "message"),
    [
        ({"data": "mnist"}, {"data": "fashion-mnist"}, "`data` on resume gives the new path of the run's own images"),
        ({"data": "/photos"}, {"data": "digits"}, "`data` on resume gives the new path"),
        ({}, {"start_from": "capsnet-mnist"}, "start_from cannot change on resume: the run has None"),
    ],
)
def test_other_data_and_weights_are_refused_on_resume(before, options, message):
    with pytest.raises(UserError, match=message):
        resume_config(RunConfig.from_defaults(**before), options)


def test_start_from_brings_how_images_are_prepared(tmp_path):
    inputs = Inputs((1, 48, 48), shrink=40, crop=32, standardize=True)
    spec = ModelSpec("capsnet-tiny", {"image_shape": (1, 32, 32)}, tuple("0123456789"), "fit", "own", inputs=inputs)
    save_weights(tmp_path / "own.safetensors", spec.build(), spec)
    config = RunConfig.from_options(start_from=tmp_path / "own.safetensors")
    prepared = config.augmentation
    assert (config.data.image_size, prepared.shrink, prepared.crop, prepared.standardize) == (48, 40, 32, True)
    same = RunConfig.from_options(start_from=tmp_path / "own.safetensors", model="capsnet-tiny", crop=24)
    assert same == config.change(crop=24)


def test_options_of_the_model_are_added_to_those_of_the_recipe():
    own = RECIPES.get("sabour2017-cifar10").config.model.options
    config = RunConfig.from_options("sabour2017-cifar10", model_options={"num_types": 32})
    assert config.model.options == {**own, "num_types": 32}
    other = RunConfig.from_options("sabour2017-cifar10", model="resnet-20", model_options={"stages": ((4, 1, 1),)})
    assert other.model.options == {"stages": ((4, 1, 1),)}
