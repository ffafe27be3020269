"""Hahn, Pyeon, Kim, "Self-Routing Capsule Networks", NeurIPS 2019."""

from capsnet.recipes.recipe import Recipe, add_recipe
from capsnet.training.config import RunConfig

_SOURCE = "Hahn, Pyeon, Kim, NeurIPS 2019"

add_recipe(
    "hahn2019-mnist-quick",
    Recipe(
        RunConfig(
            data="mnist",
            model="self-routing-capsnet",
            epochs=4,
            batch_size=32,
            schedule="one-cycle",
            lr=2e-3,
            recon_weight=0.0,
            validation=5000,
        ),
        summary="self-routing on MNIST in some minutes on one core: the paper's network, 4 epochs",
        source=_SOURCE,
        reported="no number for this network and data",
        differs="Adam over one cycle of the rate in place of 350 epochs of stochastic gradient descent",
    ),
)
