"""`torch.func`: networks of several seeds as one, by vmap, equal a loop over them."""

import pytest
import torch
from tests.models.test_models import make
from torch.func import functional_call, grad, stack_module_state, vmap

from capsnet import list_models
from capsnet.losses import activation_nll_loss, margin_loss, spread_loss
from capsnet.torch_internals import in_transform


@pytest.mark.parametrize("name", list_models())
def test_vmap_over_seeds_equals_a_loop(name):
    models = [make(name, image_shape=(1, 36, 36), num_classes=3).eval() for _ in range(2)]
    images = torch.rand(2, 1, 36, 36)
    parameters, buffers = stack_module_state(models)

    def lengths(parameters, buffers):
        return functional_call(models[0], (parameters, buffers), (images,)).lengths

    stacked = vmap(lengths)(parameters, buffers)
    gradients = vmap(grad(lambda *state: lengths(*state)[:, 0].sum()))(parameters, buffers)
    for number, model in enumerate(models):
        alone = model(images).lengths
        torch.testing.assert_close(stacked[number], alone, rtol=1e-4, atol=1e-5)
        # of one class: the sum over all is constant where lengths are shares
        alone[:, 0].sum().backward()
        expected = {key: parameter.grad for key, parameter in model.named_parameters() if parameter.grad is not None}
        largest = max(gradient.abs().max() for gradient in expected.values())
        for key, gradient in expected.items():
            # the loop runs fused kernels, which add in another order: relative to the size of each gradient
            error = (gradients[key][number] - gradient).abs().max()
            assert error <= 1e-3 * gradient.abs().max() + 1e-6 * largest, key


def test_transforms_are_noticed():
    noticed = []

    def function(x):
        noticed.append(in_transform())
        return x.sum()

    function(torch.ones(2))
    vmap(function)(torch.ones(2, 2))
    grad(function)(torch.ones(2))
    assert noticed == [False, True, True]


@pytest.mark.parametrize("loss", [margin_loss, spread_loss, activation_nll_loss])
def test_gradients_of_a_loss_for_each_sample_equal_a_loop(loss):
    activations, labels = torch.rand(4, 3), torch.tensor([0, 2, 1, 1])
    extra = (0.5,) if loss is spread_loss else ()

    def one(values, label):
        return loss(values[None], label[None], *extra)

    found = vmap(grad(one))(activations, labels)
    expected = torch.stack([grad(one)(*pair) for pair in zip(activations, labels, strict=True)])
    torch.testing.assert_close(found, expected)
