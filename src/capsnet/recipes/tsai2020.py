"""Tsai, Srivastava, Goh, Salakhutdinov, "Capsules with Inverted Dot-Product Attention Routing", ICLR 2020."""

from capsnet.recipes.recipe import Recipe, add_recipe
from capsnet.training.config import RunConfig

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
