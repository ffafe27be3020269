"""CapsNet_Project (HB5101, 2020): 2 against 3 routing iterations."""

import math
from dataclasses import replace

from capsnet.recipes.recipe import Recipe, add_recipe, in_code, own
from capsnet.runs.config import RunConfig

_NOTEBOOK = "Caps_Net(Num_r=2).ipynb"
_SETTINGS = {
    **in_code(
        "HB5101/CapsNet_Project@bdfae5e",
        model=f"{_NOTEBOOK}:141-196",
        epochs=f"{_NOTEBOOK}:856",
        batch_size=f"{_NOTEBOOK}:856",
        optimizer=f"{_NOTEBOOK}:681",
        lr=f"{_NOTEBOOK}:835-838",
        lr_decay=f"{_NOTEBOOK}:836",
        lr_decay_steps=f"{_NOTEBOOK}:836",
        recon_weight=f"{_NOTEBOOK}:668",
        shift=f"{_NOTEBOOK}:856",
    ),
    **own("validation"),
}

_DIFFERS = (
    "5,000 training images choose the weights, where the source keeps the last; parameters start from this package's "
    "initial values, not from Keras' glorot_uniform; Adam's ε is 1e-8 in place of 1e-7"
)

_THREE = Recipe(
    RunConfig.from_defaults(
        data="mnist",
        epochs=50,
        batch_size=128,
        lr=1e-3 * math.exp(-0.1),
        lr_decay=math.exp(-0.1),
        lr_decay_steps=None,
        recon_weight=0.0005 / 784,
        shift=0,
        validation=5000,
    ),
    summary="CapsNet_Project, 3 routing iterations: batch 128, 50 epochs, no augmentation",
    source="github.com/HB5101/CapsNet_Project",
    reported="test accuracy 99.46 % after 50 epochs (n = 1)",
    differs=f"{_DIFFERS}; the repository holds the notebook of 2 iterations only, whose other settings are used here "
    "too",
    settings=_SETTINGS,
)

add_recipe("capsnet-project-mnist", _THREE)
add_recipe(
    "capsnet-project-mnist-r2",
    replace(
        _THREE,
        config=_THREE.config.change(iterations=2),
        summary="CapsNet_Project, 2 routing iterations: batch 128, 50 epochs, no augmentation",
        reported="test accuracy 99.35 % after 50 epochs (n = 1)",
        differs=_DIFFERS,
        settings={**_SETTINGS, **in_code("HB5101/CapsNet_Project@bdfae5e", iterations=f"{_NOTEBOOK}:196")},
    ),
)
