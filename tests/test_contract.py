"""The names of the Python interface that others rely on."""

import inspect

import pytest
import torch

import capsnet
from capsnet.models import CapsuleModel


def parameters(function):
    return inspect.signature(function).parameters


def test_create_model_and_load_return_the_typed_model():
    assert inspect.signature(capsnet.create_model).return_annotation is CapsuleModel
    assert inspect.signature(capsnet.load).return_annotation is CapsuleModel


def test_a_loaded_model_says_what_it_is():
    model = capsnet.load("efficient-capsnet-mnist")
    assert isinstance(model, CapsuleModel)
    assert not model.training
    assert model.class_names == tuple("0123456789")
    assert model.input_shape == model.inputs.image_shape == (1, 28, 28)
    assert (model.preparation, model.loss, model.pose_dim, model.data) == ("digit", "margin", 16, "mnist")
    assert model.has_decoder
    assert model.decoder is not None
    assert model.doubt is not None


def test_a_model_gives_capsules_lengths_and_coupling():
    model = capsnet.create_model("capsnet-tiny").eval()
    with torch.no_grad():
        output = model(torch.rand(2, 1, 28, 28))
        drawn = model.reconstruct(output.capsules, labels=None)
    assert output.capsules.poses.shape == (2, 10, 16)
    assert output.lengths.shape == (2, 10)
    assert output.coupling.shape[::2] == (2, 10)
    assert drawn.shape == (2, 1, 28, 28)


def test_sweep_takes_a_recipe_a_grid_and_options():
    taken = list(parameters(capsnet.sweep))
    assert taken == ["recipe", "grid", "seeds", "out", "jobs", "ray", "small", "options"]


def test_train_takes_a_recipe_objects_and_options():
    taken = parameters(capsnet.train)
    assert taken["recipe_or_config"].default == "quickstart"
    assert list(taken) == [
        "recipe_or_config",
        *("model", "data", "start_from", "out", "resume", "callbacks", "tensorboard"),
        "options",
    ]
    assert taken["options"].kind is inspect.Parameter.VAR_KEYWORD
    assert all(taken[name].kind is inspect.Parameter.KEYWORD_ONLY for name in list(taken)[1:-1])


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (capsnet.evaluate, ["model_or_run", "data", "split"]),
        (capsnet.predict, ["model", "images"]),
        (capsnet.Dataset.from_arrays, ["images", "labels", "class_names", "test", "pixel_range"]),
        (capsnet.RunConfig.from_options, ["recipe", "options"]),
    ],
)
def test_functions_take_these_arguments(function, names):
    assert list(parameters(function))[: len(names)] == names


def test_an_unknown_option_of_train_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(capsnet.UserError, match="no option 'epoch'; did you mean 'epochs'"):
        capsnet.train(epoch=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
