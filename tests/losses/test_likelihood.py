import math

import pytest
import torch

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.errors import UserError
from capsnet.losses import activation_nll_loss, cross_entropy_loss
from capsnet.losses.class_loss import class_loss


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


def test_cross_entropy_of_poses_of_several_dimensions_is_refused():
    lengths = torch.rand(2, 3)
    output = CapsNetOutput(Capsules(torch.rand(2, 3, 16), lengths), lengths, None)
    with pytest.raises(UserError, match="give length-cross-entropy"):
        class_loss("cross-entropy", output, torch.tensor([0, 1]))


@pytest.mark.parametrize("loss", [activation_nll_loss, cross_entropy_loss])
def test_float64_stays_float64(loss):
    values, labels = torch.rand(2, 3, dtype=torch.float64, requires_grad=True), torch.tensor([0, 2])
    assert loss(values, labels).dtype == torch.float64
    assert torch.autograd.gradcheck(lambda x: loss(x, labels), values)
