"""Which loss a model is trained by."""

import pytest
import torch
from tests.conftest import TINY

from capsnet import create_model
from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.data import load_data
from capsnet.figures import draw_figures
from capsnet.inference.evaluate import evaluate_model
from capsnet.losses import margin_loss
from capsnet.losses.class_loss import class_loss
from capsnet.models.baseline_cnn import BaselineCNN
from capsnet.models.factory import MODELS, Preset
from capsnet.training import train
from capsnet.training.batches import Batch
from capsnet.training.loop import Job
from capsnet.training.objective import find_losses

SMALL = {"channels": (4,), "kernel_sizes": (5,), "hidden": (32,)}


@pytest.fixture
def small_cnn(monkeypatch):
    """A run of a small CNN."""
    monkeypatch.setitem(MODELS._values, "small-cnn", Preset(BaselineCNN, SMALL, "for tests"))
    return TINY.change(model="small-cnn", epochs=1)


def test_margin_loss_is_that_of_models_that_name_none():
    model, labels = create_model(TINY.model.name), torch.tensor([3, 4])
    output = model(torch.rand(2, 1, 28, 28))
    torch.testing.assert_close(class_loss(model.loss, output, labels).mean(), margin_loss(output.lengths, labels))


def test_cnn_is_trained_by_cross_entropy():
    model, labels = create_model("baseline-cnn", **SMALL).eval(), torch.tensor([3, 4])
    images = torch.rand(2, 1, 28, 28)
    expected = -model(images).lengths[torch.arange(2), labels].log().mean()
    losses = find_losses(model, Batch(images, labels, images), 0.0)
    torch.testing.assert_close(losses.total, expected)
    torch.testing.assert_close(losses.margin, expected)


def test_cnn_is_asked_for_both_classes_of_a_pair():
    model, labels = create_model("baseline-cnn", **SMALL).eval(), torch.tensor([[3, 4]])
    output = model(torch.rand(1, 1, 28, 28))
    expected = -output.lengths[0, 3:5].log().mean()
    torch.testing.assert_close(class_loss(model.loss, output, labels)[0], expected)


def test_evaluation_reports_the_loss_that_was_trained():
    model, data = create_model("baseline-cnn", **SMALL).eval(), load_data("digits").test
    with torch.no_grad():
        images = data.images.float() / 255
        losses = find_losses(model, Batch(images, data.labels, images), 0.0)
    result = evaluate_model(model, data, name="digits", split="test")
    assert result.margin_loss == pytest.approx(losses.total.item(), rel=1e-4)
    assert result.reconstruction_mse is None


def test_cnn_learns_has_no_decoder_and_no_routing(small_cnn, tmp_path):
    run = train(small_cnn.change(epochs=3, limit=None), out=tmp_path / "run")
    assert run.evaluation()["test"]["accuracy"] > 0.8
    assert run.config.optimizer.recon_weight == 0
    assert run.evaluation()["parameters"] == 10 * 33 + 4 * 26 + 32 * (4 * 784 + 1)
    names = [path.stem for path in draw_figures(run)]
    assert "confusion" in names
    assert "reconstructions" not in names


def test_dropout_of_a_resumed_run_is_that_of_one_never_stopped(small_cnn, tmp_path, monkeypatch):
    whole = train(small_cnn, out=tmp_path / "whole")
    step = Job._step

    def killed(job, *args):
        step(job, *args)
        if job.state.step == 3:
            job._save()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Job, "_step", killed)
        with pytest.raises(KeyboardInterrupt):
            train(small_cnn, out=tmp_path / "stopped")
    torch.manual_seed(99)
    resumed = train(small_cnn, resume=tmp_path / "stopped")
    for one, other in zip(whole.load_model().parameters(), resumed.load_model().parameters(), strict=True):
        assert one.equal(other)


def test_cross_entropy_of_a_pair_is_shared_by_its_two_classes():
    logits = torch.tensor([[2.0, 0.0, 1.0, -1.0]])
    output = CapsNetOutput(Capsules(logits[..., None], logits.softmax(1)), logits.softmax(1), None)
    model = create_model("baseline-cnn", image_shape=(1, 8, 8), **SMALL)
    loss = class_loss(model.loss, output, torch.tensor([[2, 0]]))
    torch.testing.assert_close(loss, -logits.log_softmax(1)[:, [0, 2]].mean(1))
