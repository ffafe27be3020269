"""Ribeiro, Leontidis, Kollias, "Capsule Routing via Variational Bayes", AAAI 2020."""

from capsnet.recipes.recipe import Recipe, add_recipe
from capsnet.training.config import RunConfig

add_recipe(
    "ribeiro2020-mnist-quick",
    Recipe(
        RunConfig(
            data="mnist",
            model="vb-capsnet-tiny",
            epochs=2,
            batch_size=16,
            schedule="one-cycle",
            lr=3e-3,
            recon_weight=0.0,
            shift=0,
            crop=24,
            validation=5000,
        ),
        summary="variational Bayes routing on MNIST within 20 minutes of one processor core: a small network",
        source="Ribeiro, Leontidis, Kollias, AAAI 2020",
        reported="no number for so short a run",
        differs="32, 8, 8 and 8 channels and types, 24x24 patches, 2 epochs of batches of 16",
    ),
)
