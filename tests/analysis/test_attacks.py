import pytest
import torch
from torch import nn

from capsnet.analysis.attacks import attack_loss, fgsm, iterate, loss_gradient, pgd, random_signs, random_squares
from capsnet.analysis.watch import frozen
from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.models import CapsuleModel


class Linear(CapsuleModel):
    """Lengths are linear in the pixels: the first class by `weight`, the second against it."""

    def __init__(self, weight):
        super().__init__(tuple(weight.shape[1:]), 2)
        self.weight = nn.Parameter(weight)

    def forward(self, images):
        score = (images * self.weight).flatten(1).sum(dim=1)
        lengths = torch.stack([0.5 + score, 0.5 - score], dim=1)
        return CapsNetOutput(Capsules(lengths[..., None], lengths), lengths, None)


@pytest.fixture
def toy():
    weight = torch.tensor([[[[0.01, -0.02], [0.03, -0.04]]]])
    return Linear(weight), torch.full((3, 1, 2, 2), 0.5), torch.tensor([0, 1, 0])


@pytest.mark.parametrize("loss", ["margin", "cross-entropy"])
def test_fgsm_of_a_linear_model_is_epsilon_times_the_sign(toy, loss):
    model, images, labels = toy
    # the loss of the first class falls with the score, that of the second rises with it
    direction = torch.tensor([-1.0, 1.0, -1.0])[:, None, None, None]
    expected = images + 0.1 * direction * model.weight.detach().sign()
    assert torch.allclose(fgsm(model, images, labels, 0.1, loss), expected)


@pytest.mark.parametrize("loss", ["margin", "cross-entropy"])
def test_iterated_attacks_reach_the_same_corner_of_a_linear_model(toy, loss):
    model, images, labels = toy
    corner = fgsm(model, images, labels, 0.1, loss)
    assert torch.allclose(iterate(model, images, labels, 0.1, loss, steps=4), corner)
    moved = pgd(model, images, labels, 0.1, loss, steps=4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(moved, corner)


def test_attacks_stay_near_the_image_and_in_range(make_subject):
    model, data = make_subject()
    images, labels = data.images.float() / 255, data.labels
    draw = torch.Generator().manual_seed(0)
    with frozen(model):
        moved = [
            fgsm(model, images, labels, 0.3),
            iterate(model, images, labels, 0.3, steps=3),
            pgd(model, images, labels, 0.3, steps=2, generator=draw),
            random_signs(images, 0.3, draw),
            random_squares(model, images, labels, 0.3, queries=3, generator=draw),
        ]
    for result in moved:
        assert float((result - images).abs().max()) <= 0.3 + 1e-6
        assert 0 <= float(result.min()) <= float(result.max()) <= 1


def test_margin_loss_has_no_gradient_inside_its_margins_and_cross_entropy_has():
    lengths = torch.tensor([[0.95, 0.05]], requires_grad=True)
    for loss, expected in (("margin", True), ("cross-entropy", False)):
        (gradient,) = torch.autograd.grad(attack_loss(lengths, torch.tensor([0]), loss).sum(), lengths)
        assert bool((gradient == 0).all()) == expected


def test_no_parameter_keeps_a_gradient_and_the_mode_is_restored(make_subject):
    model, data = make_subject()
    model.train()
    with frozen(model):
        assert not model.training
        gradient = loss_gradient(model, data.images.float() / 255, data.labels, "cross-entropy")
    assert gradient.abs().sum() > 0
    assert model.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_squares_never_lower_the_loss(make_subject):
    model, data = make_subject()
    images, labels = data.images.float() / 255, data.labels
    losses = []
    for queries in (1, 12):
        draw = torch.Generator().manual_seed(0)
        with frozen(model):
            moved = random_squares(model, images, labels, 0.2, queries=queries, generator=draw)
            losses.append(attack_loss(model(moved).lengths, labels, "cross-entropy"))
    stripes = torch.randint(0, 2, (8, 1, 1, 20), generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    start = attack_loss(model((images + 0.2 * stripes).clamp(0, 1)).lengths, labels, "cross-entropy")
    for loss in losses:
        assert bool((loss >= start - 1e-5).all())
    assert losses[1].sum() > start.sum()
