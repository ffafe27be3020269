"""A step is the gradient step it says it is."""

import pytest
import torch
from tests.conftest import TINY

from capsnet import create_model
from capsnet.data import load_data
from capsnet.data.inputs import Inputs
from capsnet.data.transforms import Shift
from capsnet.errors import UserError
from capsnet.losses import margin_loss, reconstruction_loss
from capsnet.training import step as step_module
from capsnet.training.batches import Batches
from capsnet.training.step import Step, captures


def batches(data, shift=0):
    return Batches(data, Inputs(data.image_shape), [Shift(shift)] if shift else [])


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create_model(TINY.model.name, image_shape=(1, 28, 28))


def test_step_moves_the_weights_along_the_gradient_of_both_losses(model):
    data = load_data("digits").train
    images, labels = data.images[:4].float() / 255, data.labels[:4]
    output = model(images)
    drawn = model.reconstruct(output.capsules, labels)
    loss = margin_loss(output.lengths, labels) + 0.0005 * reconstruction_loss(drawn, images)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    grads = dict(zip(before, torch.autograd.grad(loss, list(model.parameters())), strict=True))
    step = Step(model, batches(data), TINY, "fp32")
    step(torch.arange(4), {}, 0.01)
    for name, parameter in model.named_parameters():
        # the first step of Adam is the rate times the sign of the gradient, where its 1e-8 is small beside it
        large = grads[name].abs() > 1e-5
        moved = (parameter - before[name])[large]
        torch.testing.assert_close(moved, -0.01 * grads[name][large].sign(), rtol=2e-3, atol=0, msg=name)
    assert step.totals[0] / 4 == pytest.approx(loss.item(), rel=1e-5)
    assert step.totals[4] == 4


def test_sgd_moves_by_the_gradient_and_decay_and_again_by_its_momentum(model):
    config = TINY.change(optimizer="sgd", momentum=0.9, weight_decay=0.1, recon_weight=0.0)
    data = load_data("digits").train
    weight = model.class_capsules.weight
    step, moved = Step(model, batches(data), config, "fp32"), torch.zeros_like(weight)
    for rate in (0.5, 0.25):
        loss = margin_loss(model(data.images[:4].float() / 255).lengths, data.labels[:4])
        (grad,) = torch.autograd.grad(loss, [weight])
        before = weight.detach().clone()
        # v <- 0.9 v + g + 0.1 w; w <- w - rate v
        moved = 0.9 * moved + grad + 0.1 * before
        step(torch.arange(4), {}, rate)
        torch.testing.assert_close(weight.detach(), before - rate * moved, rtol=1e-5, atol=1e-7)


def test_decay_of_adam_is_part_of_the_gradient(model):
    config = TINY.change(weight_decay=1e3, recon_weight=0.0)
    weight = model.class_capsules.weight
    before = weight.detach().clone()
    Step(model, batches(load_data("digits").train), config, "fp32")(torch.arange(4), {}, 0.01)
    # so much decay decides the sign of the gradient
    torch.testing.assert_close(weight.detach() - before, -0.01 * before.sign(), rtol=1e-3, atol=0)


def test_step_with_no_weight_on_reconstruction_leaves_the_decoder_alone(model):
    data = load_data("digits").train
    before = [p.detach().clone() for p in model.decoder.parameters()]
    Step(model, batches(data), TINY.change(recon_weight=0.0), "fp32")(torch.arange(4), {}, 0.01)
    assert all(p.equal(q) for p, q in zip(model.decoder.parameters(), before, strict=True))


def test_cuda_graph_without_a_gpu_is_refused(model):
    with pytest.raises(UserError, match="needs a CUDA device"):
        Step(model, batches(load_data("digits").train), TINY.change(execution="cuda-graph"), "fp32")


def test_steps_that_cannot_be_captured_run_eagerly_by_default(model, monkeypatch, caplog):
    def fail(*arguments):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(step_module, "_Captured", fail)
    for execution in ("auto", "cuda-graph"):
        step = Step(model, batches(load_data("digits").train), TINY.change(batch_size=4), "fp32")
        step.config, step.captures, step._warm_up = step.config.change(execution=execution), True, 0
        if execution == "cuda-graph":
            with pytest.raises(RuntimeError, match="not permitted"):
                step(torch.arange(4), {}, 0.01)
        else:
            step(torch.arange(4), {}, 0.01)
            assert "steps run eagerly" in caplog.text
            assert (int(step.done), step.captures) == (1, False)


@pytest.mark.parametrize(("execution", "captured"), [("auto", True), ("compile", True), ("eager", False)])
def test_steps_are_captured_on_a_gpu_where_eager_is_not_chosen(execution, captured):
    assert captures(execution, torch.device("cuda")) is captured
    assert not captures(execution, torch.device("cpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_captured_steps_are_the_eager_ones(optimizer):
    data = load_data("digits").train.to("cuda")
    config = TINY.change(batch_size=16, optimizer=optimizer, weight_decay=1e-3)
    sums, weights = [], []
    for execution in ("eager", "cuda-graph"):
        torch.manual_seed(0)
        model = create_model(TINY.model.name, image_shape=(1, 28, 28)).cuda()
        step = Step(model, batches(data, shift=1), config.change(execution=execution), "fp32")
        for k in range(8):
            draws = {"stored.0": torch.full((16, 2), k % 3 - 1, device="cuda")}
            step(torch.arange(16, device="cuda") + 16 * k, draws, 1e-3 * (k + 1))
        sums.append(step.totals)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(sums[1], sums[0])
    torch.testing.assert_close(weights[1], weights[0])
