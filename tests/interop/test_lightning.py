"""The Lightning module trains as the package's own step does, and its checkpoints come back."""

import sys

import lightning
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import capsnet
from capsnet.data.inputs import Inputs
from capsnet.errors import UserError
from capsnet.lightning import CapsuleModule

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(num_workers|no `val_dataloader`|log_every_n_steps|GPU|LeafSpec|tensorboard|litlogger).*"
)


@pytest.fixture(scope="module")
def loaders():
    data = capsnet.data.load_data("digits")
    parts = [(data.train.images[:256], data.train.labels[:256]), (data.test.images[:64], data.test.labels[:64])]
    train, test = (TensorDataset(*part) for part in parts)
    return DataLoader(train, batch_size=32), DataLoader(test, batch_size=64)


def trainer(folder, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return lightning.Trainer(default_root_dir=folder, **{"enable_checkpointing": False, **quiet, **options})


def test_trainer_trains_validates_and_tests(loaders, tmp_path):
    module = CapsuleModule("capsnet-tiny", lr=3e-3)
    fit = trainer(tmp_path, max_epochs=3)
    [before] = fit.validate(module, loaders[1], verbose=False)
    fit.fit(module, *loaders)
    metrics = {name: float(value) for name, value in fit.callback_metrics.items()}
    assert metrics["val_loss"] < before["val_loss"] / 2
    assert metrics["train_loss"] == pytest.approx(
        metrics["train_class_loss"] + 0.0005 * metrics["train_reconstruction_loss"], rel=1e-4
    )
    [test] = fit.test(module, loaders[1], verbose=False)
    assert test["test_accuracy"] == pytest.approx(metrics["val_accuracy"])


def test_first_step_is_that_of_plain_torch(loaders, tmp_path):
    module = CapsuleModule("capsnet-tiny", lr=1e-3)
    model = capsnet.create_model("capsnet-tiny")
    model.load_state_dict(module.model.state_dict())
    trainer(tmp_path, max_steps=1).fit(module, loaders[0])
    images, labels = next(iter(loaders[0]))
    images = images.float() / 255
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    output = model(images)
    drawn = model.reconstruct(output.capsules, labels)
    loss = capsnet.losses.margin_loss(output.lengths, labels)
    (loss + 0.0005 * capsnet.losses.reconstruction_loss(drawn, images)).backward()
    optimizer.step()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(module.model.get_parameter(name), weight, msg=name)


def test_checkpoint_comes_back_by_its_name(loaders, tmp_path):
    module = CapsuleModule("capsnet-tiny", model_options={"decoder": False})
    fit = trainer(tmp_path, max_steps=1, enable_checkpointing=True)
    fit.fit(module, loaders[0])
    again = CapsuleModule.load_from_checkpoint(fit.checkpoint_callback.best_model_path)
    assert not again.model.has_decoder
    assert again.recon_weight == 0
    [outputs] = fit.predict(again, loaders[1])
    with torch.no_grad():
        torch.testing.assert_close(outputs.lengths, module(next(iter(loaders[1]))[0]).lengths)


def test_a_model_that_is_built_is_trained_itself(loaders, tmp_path):
    model = capsnet.create_model("em-capsnet-small", image_shape=(1, 28, 28), num_classes=10, sizes=(4, 3, 3, 3))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    # the spread loss's margin follows the progress of the trainer
    trainer(tmp_path, max_steps=2).fit(CapsuleModule(model), loaders[0])
    assert any(not torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.fixture
def standardized():
    """A network of 20x20 pixels cut out of standardised images of 28x28."""
    model = capsnet.create_model("capsnet-tiny", image_shape=(1, 20, 20)).eval()
    model.inputs = Inputs((1, 28, 28), crop=20, standardize=True)
    return model


def test_images_are_prepared_as_the_model_says(standardized, loaders, tmp_path):
    images, labels = next(iter(loaders[1]))
    module = CapsuleModule(standardized)
    with torch.no_grad():
        expected = standardized(standardized.inputs(images))
        torch.testing.assert_close(module(images).lengths, expected.lengths)
        drawn = standardized.reconstruct(expected.capsules, labels)
    [metrics] = trainer(tmp_path).validate(module, loaders[1], verbose=False)
    assert metrics["val_class_loss"] == pytest.approx(
        float(capsnet.losses.margin_loss(expected.lengths, labels)), rel=1e-4
    )
    # the targets are the pixels in [0, 1]
    seen = images[:, :, 4:24, 4:24].float() / 255
    error = capsnet.losses.reconstruction_loss(drawn, seen)
    assert metrics["val_reconstruction_loss"] == pytest.approx(float(error), rel=1e-4)


@pytest.mark.usefixtures("unchecked")
def test_floats_give_the_answer_of_bytes(standardized, loaders):
    images, _ = next(iter(loaders[1]))
    module = CapsuleModule(standardized)
    with torch.no_grad():
        torch.testing.assert_close(module(images.float() / 255).lengths, module(images).lengths)


def test_class_names_and_preparation_are_kept_with_the_model(loaders, tmp_path):
    names = tuple("abcdefghij")
    module = CapsuleModule("capsnet-tiny", class_names=names, preparation="digit")
    assert (module.model.class_names, module.model.preparation) == (names, "digit")
    fit = trainer(tmp_path, max_steps=1, enable_checkpointing=True)
    fit.fit(module, loaders[0])
    again = CapsuleModule.load_from_checkpoint(fit.checkpoint_callback.best_model_path).model
    assert (again.class_names, again.preparation) == (names, "digit")
    # without arguments, a model keeps its own
    own = CapsuleModule(again).model
    assert (own.class_names, own.preparation) == (names, "digit")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_names": ["a", "b"]}, "class_names must be 10, one for each class of the model, got 2"),
        ({"model_options": {"num_classes": 3}}, "model_options are for a model given by name"),
        ({"recon_weight": 0.1}, "recon_weight must be 0 for a model without a decoder"),
    ],
)
def test_contradictions_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        CapsuleModule(capsnet.create_model("capsnet-tiny", decoder=False), **arguments)


def test_without_the_extra_its_name_is_given(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "capsnet.lightning")
    with pytest.raises(UserError, match=r"pip install 'capsnet\[lightning\]'"):
        from capsnet.lightning import CapsuleModule  # noqa: F401


def test_labels_in_a_column_count_as_labels():
    module = CapsuleModule("capsnet-tiny", model_options={"decoder": False}, recon_weight=0.0)
    images, labels = torch.randint(0, 256, (8, 1, 28, 28), dtype=torch.uint8), torch.arange(8)
    logged = []
    module.log_dict = lambda values, **_: logged.append({name: float(value.detach()) for name, value in values.items()})
    module.test_step((images, labels), 0)
    module.test_step((images, labels[:, None]), 0)
    assert logged[0] == logged[1]
