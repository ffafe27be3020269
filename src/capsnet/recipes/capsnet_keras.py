"""CapsNet-Keras (XifengGuo, 2017): its first version and its newest one."""

import math
from dataclasses import replace

from capsnet.recipes.recipe import Recipe, add_recipe, in_code, own
from capsnet.runs.config import RunConfig

_SOURCE = "github.com/XifengGuo/CapsNet-Keras"
# a tenth of the side; `fill_mode` of Keras' image generator is "nearest", the repeated edge
_SHIFTS = RunConfig.from_defaults(
    data="mnist", batch_size=100, shift=2.8, shift_interpolation="bilinear", shift_fill="edge"
)
_DIFFERS = (
    "5,000 training images are held out and choose the weights, where the source trains on all 60,000, follows the "
    "test set and tests its last weights; parameters start from this package's initial values, not from Keras' "
    "glorot_uniform, whose values are 27 times smaller in the class capsules; Adam's ε is 1e-8 in place of 1e-7"
)

_NEWEST = in_code(
    "XifengGuo/CapsNet-Keras@2f6d47d",
    model="capsulenet.py:31-77",
    epochs="capsulenet.py:211",
    batch_size="capsulenet.py:212",
    optimizer="capsulenet.py:113",
    lr="capsulenet.py:213",
    lr_decay="capsulenet.py:215",
    lr_decay_steps="capsulenet.py:110",
    recon_weight="capsulenet.py:217",
    shift="capsulenet.py:126-127, 221",
    shift_interpolation="capsulenet.py:126-127",
    shift_fill="capsulenet.py:126-127",
)
_FIRST = in_code(
    "XifengGuo/CapsNet-Keras@b102071",
    model="capsulenet.py:25-57",
    epochs="capsulenet.py:168",
    batch_size="capsulenet.py:167",
    optimizer="capsulenet.py:92",
    lr="capsulenet.py:89",
    lr_decay="capsulenet.py:89",
    lr_decay_steps="capsulenet.py:89",
    recon_weight="capsulenet.py:169",
    shift="capsulenet.py:105-106, 171",
    shift_interpolation="capsulenet.py:105-106",
    shift_fill="capsulenet.py:105-106",
)

_NEWEST_THREE = Recipe(
    _SHIFTS.change(epochs=50, lr_decay=0.9, lr_decay_steps=None, validation=5000),
    summary="CapsNet-Keras, newest: Adam 1e-3 x 0.9 each epoch, batch 100, 50 epochs",
    source=_SOURCE,
    reported="test error 0.34 ± 0.016 % (n = 3)",
    differs=f"{_DIFFERS}; shifted pixels are rounded to whole numbers of 255",
    settings={**_NEWEST, **own("validation")},
)
_FIRST_THREE = Recipe(
    _SHIFTS.change(
        # Keras' generator took the nearest pixel until its pull request 8849 of December 2017
        shift_interpolation="nearest",
        epochs=20,
        lr_decay=math.exp(-0.1),
        lr_decay_steps=None,
        recon_weight=0.0005 / 784,
        validation=5000,
    ),
    summary="CapsNet-Keras, first version: 20 epochs, Adam 1e-3 exp(-epoch/10), 0.0005 x mean squared error",
    source=f"{_SOURCE} at b102071",
    reported="test accuracy 99.59 % after 20 epochs, 98.51 % after the first (n = 1)",
    differs=_DIFFERS,
    settings={**_FIRST, **own("validation")},
)

add_recipe("capsnet-keras-mnist", _NEWEST_THREE)
add_recipe(
    "capsnet-keras-mnist-r1",
    replace(
        _NEWEST_THREE,
        config=_NEWEST_THREE.config.change(iterations=1),
        summary="CapsNet-Keras, newest, with 1 routing iteration (its --routings 1)",
        reported="test error 0.36 ± 0.009 % (n = 3)",
        settings={**_NEWEST_THREE.settings, **in_code("XifengGuo/CapsNet-Keras@2f6d47d", iterations="README.md:93")},
    ),
)
add_recipe("capsnet-keras-first-mnist", _FIRST_THREE)
add_recipe(
    "capsnet-keras-first-mnist-r1",
    replace(
        _FIRST_THREE,
        config=_FIRST_THREE.config.change(iterations=1),
        summary="CapsNet-Keras, first version, with 1 routing iteration (its --num_routing 1)",
        reported="test accuracy 99.58 % after 20 epochs, 98.55 % after the first (n = 1)",
        settings={**_FIRST_THREE.settings, **in_code("XifengGuo/CapsNet-Keras@b102071", iterations="README.md:49")},
    ),
)
