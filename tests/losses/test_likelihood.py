import math

import torch

from capsnet.losses import activation_nll_loss, cross_entropy_loss


def test_likelihood_is_the_share_of_the_true_class_by_hand():
    activations = torch.tensor([[0.1, 0.3], [0.6, 0.2]])
    losses = activation_nll_loss(activations, torch.tensor([0, 1]), reduction="none")
    torch.testing.assert_close(losses, torch.tensor([math.log(4), math.log(4)]))


def test_a_class_without_activation_has_a_finite_gradient():
    activations = torch.tensor([[0.0, 1.0]], requires_grad=True)
    activation_nll_loss(activations, torch.tensor([0])).backward()
    assert activations.grad.isfinite().all()
    assert activations.grad[0, 0] < 0


def test_cross_entropy_is_that_of_a_softmax_by_hand():
    loss = cross_entropy_loss(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0]))
    torch.testing.assert_close(loss, torch.tensor(math.log(math.e + 2) - 1))
