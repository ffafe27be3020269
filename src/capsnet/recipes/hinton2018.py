"""Hinton, Sabour, Frosst, "Matrix capsules with EM routing", ICLR 2018."""

from capsnet.recipes.recipe import Recipe, add_recipe
from capsnet.training.config import RunConfig

add_recipe(
    "hinton2018-mnist-quick",
    Recipe(
        RunConfig(
            data="mnist",
            model="em-capsnet-tiny",
            epochs=2,
            batch_size=16,
            schedule="one-cycle",
            lr=5e-3,
            recon_weight=0.0,
            shift=0,
            crop=24,
            validation=5000,
        ),
        summary="EM routing on MNIST within 20 minutes of one processor core: a small network, 24x24 patches",
        source="Hinton, Sabour, Frosst, ICLR 2018",
        reported="no number for so short a run",
        differs="32, 8, 8 and 8 channels and types; poses and activations are normalised over the batch, and 0.3 is "
        "added to each variance: with the constants of the authors' code this network hardly learns in so few steps",
    ),
)
