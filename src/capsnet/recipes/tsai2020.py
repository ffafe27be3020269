"""Tsai, Srivastava, Goh, Salakhutdinov, "Capsules with Inverted Dot-Product Attention Routing", ICLR 2020."""

from dataclasses import replace

from capsnet.recipes.recipe import Recipe, add_recipe
from capsnet.runs.config import RunConfig

_SOURCE = "Tsai, Srivastava, Goh, Salakhutdinov, ICLR 2020"

add_recipe(
    "tsai2020-mnist-quick",
    Recipe(
        RunConfig(
            data="mnist",
            model="attention-capsnet-small",
            epochs=4,
            batch_size=32,
            schedule="one-cycle",
            lr=3e-3,
            recon_weight=0.0,
            validation=5000,
        ),
        summary="inverted dot-product attention on MNIST, minutes on one core: a small trunk, 8 types of capsule",
        source=_SOURCE,
        reported="no number for this network and data",
        differs="105,777 parameters in place of 1,828,817: two residual blocks, both strided, 8 types of capsule in "
        "place of 32; Adam over one cycle of the rate in place of stochastic gradient descent",
    ),
)

_TRAINING = RunConfig(
    epochs=350,
    batch_size=128,
    optimizer="sgd",
    lr=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="step",
    lr_decay=0.1,
    lr_milestones=(150, 250),
    recon_weight=0.0,
    shift=4,
    flip=True,
    validation=0,
)
_DIFFERS = (
    "the last weights are kept, where the authors' code keeps those that are best on the test set; a patch cut out of "
    "the image with 4 pixels of zeros around it is a shift of up to 4"
)

add_recipe(
    "tsai2020-cifar10",
    Recipe(
        replace(_TRAINING, data="cifar10", model="attention-capsnet"),
        summary="inverted dot-product attention on CIFAR-10: 1,828,817 parameters, 350 epochs of SGD",
        source=_SOURCE,
        reported="test error 5.15 % on average, 4.86 % at best (2 routing iterations), weights chosen on the test set",
        differs=_DIFFERS,
    ),
)
add_recipe(
    "tsai2020-cifar100",
    Recipe(
        replace(_TRAINING, data="cifar100", model="attention-capsnet-cifar100"),
        summary="inverted dot-product attention on CIFAR-100: 2,799,629 parameters, 350 epochs of SGD",
        source=_SOURCE,
        reported="test error 23.73 % on average, 21.98 % at best; weights chosen on the test set",
        differs=_DIFFERS,
    ),
)
