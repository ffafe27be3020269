"""CapsNet-Keras (XifengGuo, 2017): its first version and its newest one."""

import math

from capsnet.recipes.recipe import Recipe, add_recipe
from capsnet.runs.config import RunConfig

_SOURCE = "github.com/XifengGuo/CapsNet-Keras"
_SHIFT = (
    "whole-pixel shifts of 2 filled with zeros in place of interpolated ones of 2.8 smeared at the edge; the best "
    "weights are chosen on 5,000 training images, not on the test set"
)

add_recipe(
    "capsnet-keras-mnist",
    Recipe(
        RunConfig(data="mnist", epochs=50, batch_size=100, lr_decay=0.9, lr_decay_steps=0, validation=5000),
        summary="CapsNet-Keras, newest: Adam 1e-3 x 0.9 each epoch, batch 100, 50 epochs",
        source=_SOURCE,
        reported="test error 0.34 ± 0.016 % (n = 3)",
        differs=_SHIFT,
    ),
)
add_recipe(
    "capsnet-keras-first-mnist",
    Recipe(
        RunConfig(
            data="mnist",
            epochs=20,
            batch_size=100,
            lr_decay=math.exp(-0.1),
            lr_decay_steps=0,
            recon_weight=0.0005 / 784,
            validation=5000,
        ),
        summary="CapsNet-Keras, first version: 20 epochs, Adam 1e-3 exp(-epoch/10), 0.0005 x mean squared error",
        source=f"{_SOURCE} at b102071",
        reported="99.59 % after 20 epochs, 98.51 % after the first (n = 1)",
        differs=_SHIFT,
    ),
)
