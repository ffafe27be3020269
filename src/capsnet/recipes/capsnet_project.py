"""CapsNet_Project (HB5101, 2020): 2 against 3 routing iterations."""

import math
from dataclasses import replace

from capsnet.recipes.recipe import Recipe, add_recipe
from capsnet.runs.config import RunConfig

_THREE = Recipe(
    RunConfig(
        data="mnist",
        epochs=50,
        batch_size=128,
        lr=1e-3 * math.exp(-0.1),
        lr_decay=math.exp(-0.1),
        lr_decay_steps=0,
        recon_weight=0.0005 / 784,
        shift=0,
        validation=5000,
    ),
    summary="CapsNet_Project, 3 routing iterations: batch 128, 50 epochs, no augmentation",
    source="github.com/HB5101/CapsNet_Project",
    reported="99.46 % after 50 epochs (n = 1)",
    differs="5,000 training images choose the weights, where the source keeps the last",
)

add_recipe("capsnet-project-mnist", _THREE)
add_recipe(
    "capsnet-project-mnist-r2",
    replace(
        _THREE,
        config=replace(_THREE.config, iterations=2),
        summary="CapsNet_Project, 2 routing iterations: batch 128, 50 epochs, no augmentation",
        reported="99.35 % after 50 epochs (n = 1)",
    ),
)
