r"""Attacks on an image: a change of at most $\epsilon$ in each pixel that increases the loss.

FGSM: Goodfellow, Shlens, Szegedy, "Explaining and Harnessing Adversarial Examples", ICLR 2015.
BIM: Kurakin, Goodfellow, Bengio, "Adversarial examples in the physical world", ICLR 2017 workshop.
PGD: Madry, Makelov, Schmidt, Tsipras, Vladu, "Towards Deep Learning Models Resistant to Adversarial Attacks",
ICLR 2018.
Squares: after Andriushchenko, Croce, Flammarion, Hein, "Square Attack: a query-efficient black-box adversarial attack
via random search", ECCV 2020.

Images are in [0, 1] and stay there. Call within `frozen(model)`, so that no gradients of parameters are computed.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from capsnet.analysis.watch import read
from capsnet.losses import margin_loss
from capsnet.models import CapsuleModel

Loss = Literal["margin", "cross-entropy"]
Images = Float[Tensor, "b c h w"]
Labels = Int[Tensor, " b"]


def attack_loss(lengths: Float[Tensor, "b n"], labels: Labels, loss: Loss) -> Float[Tensor, " b"]:
    """The loss that an attack increases, for each image: margin loss, or cross-entropy of a softmax over the lengths.

    The margin loss of an image inside its margins is exactly zero, and so is its gradient; the
    cross-entropy has a gradient there, too.
    """
    if loss == "margin":
        return margin_loss(lengths, labels, reduction="none")
    return nn.functional.cross_entropy(lengths, labels, reduction="none")


def loss_gradient(model: CapsuleModel, images: Images, labels: Labels, loss: Loss) -> Images:
    """Gradient of each image's loss with respect to its pixels."""
    with torch.enable_grad():
        moved = images.detach().requires_grad_()
        total = attack_loss(read(model, moved).lengths, labels, loss).sum()
        (gradient,) = torch.autograd.grad(total, moved)
    return gradient


def fgsm(
    model: CapsuleModel,
    images: Images,
    labels: Labels,
    epsilon: float | Float[Tensor, "b 1 1 1"],
    loss: Loss = "margin",
) -> Images:
    r"""One step: $x + \epsilon\,\mathrm{sign}(\nabla_x L)$."""
    return (images + epsilon * loss_gradient(model, images, labels, loss).sign()).clamp(0, 1)


def iterate(
    model: CapsuleModel,
    images: Images,
    labels: Labels,
    epsilon: float | Float[Tensor, "b 1 1 1"],
    loss: Loss = "margin",
    *,
    steps: int = 10,
    step_size: float | None = None,
    start: Images | None = None,
) -> Images:
    """BIM: steps along the gradient's sign, each projected to within epsilon of the image and to [0, 1].

    Args:
        model: frozen.
        images: in [0, 1].
        labels: true classes.
        epsilon: largest change of a pixel; may differ between images.
        loss: which loss is increased.
        steps: number of steps.
        step_size: default 2.5 epsilon / steps.
        start: first iterate; default: the images.
    """
    size = 2.5 * epsilon / steps if step_size is None else step_size
    limit = torch.as_tensor(epsilon, dtype=images.dtype, device=images.device)
    moved = images if start is None else start
    for _ in range(steps):
        stepped = moved + size * loss_gradient(model, moved, labels, loss).sign()
        moved = (images + (stepped - images).clamp(-limit, limit)).clamp(0, 1)
    return moved


def pgd(
    model: CapsuleModel,
    images: Images,
    labels: Labels,
    epsilon: float,
    loss: Loss = "margin",
    *,
    steps: int = 10,
    generator: torch.Generator,
) -> Images:
    """BIM from a random start within epsilon of the image."""
    drawn = torch.rand(images.shape, generator=generator).to(images) * 2 - 1
    start = (images + epsilon * drawn).clamp(0, 1)
    return iterate(model, images, labels, epsilon, loss, steps=steps, start=start)


def random_signs(images: Images, epsilon: float, generator: torch.Generator) -> Images:
    """Random baseline: change each pixel by plus or minus epsilon."""
    signs = torch.randint(0, 2, images.shape, generator=generator).to(images) * 2 - 1
    return (images + epsilon * signs).clamp(0, 1)


@torch.no_grad()
def random_squares(
    model: CapsuleModel, images: Images, labels: Labels, epsilon: float, *, queries: int, generator: torch.Generator
) -> Images:
    """Attack without gradients: start from stripes, then keep each random square that increases the cross-entropy.

    Differs from the paper:
        Its loss is a difference of logits; squares shrink in proportion to the queries left, not by its table.
    """
    batch, channels, height, width = images.shape
    stripes = torch.randint(0, 2, (batch, channels, 1, width), generator=generator).to(images) * 2 - 1
    best = (images + epsilon * stripes).clamp(0, 1)
    highest = attack_loss(read(model, best).lengths, labels, "cross-entropy")
    for query in range(queries):
        side = max(1, round(min(height, width) * 0.5 * (1 - query / queries)))
        tops = torch.randint(0, height - side + 1, (batch,), generator=generator)
        lefts = torch.randint(0, width - side + 1, (batch,), generator=generator)
        signs = torch.randint(0, 2, (batch, channels, 1, 1), generator=generator).to(images) * 2 - 1
        rows, columns = torch.arange(height), torch.arange(width)
        inside = ((rows >= tops[:, None]) & (rows < tops[:, None] + side))[:, None, :, None]
        inside = inside & ((columns >= lefts[:, None]) & (columns < lefts[:, None] + side))[:, None, None, :]
        tried = torch.where(inside.to(images.device), (images + epsilon * signs).clamp(0, 1), best)
        value = attack_loss(read(model, tried).lengths, labels, "cross-entropy")
        better = value > highest
        best = torch.where(better[:, None, None, None], tried, best)
        highest = torch.where(better, value, highest)
    return best
