"""Hinton, Sabour, Frosst, "Matrix capsules with EM routing", ICLR 2018."""

from dataclasses import replace

from capsnet.recipes.recipe import UNCHECKED, Recipe, add_recipe
from capsnet.runs.config import RunConfig

_SOURCE = "Hinton, Sabour, Frosst, ICLR 2018"
_CODE = (
    "rate, its decay, batch size and 2,000,000 steps are the released code's, the text does not state them; the "
    "deviations of EM routing are those of the model (capsnet show em-capsnet)"
)
_NORB = RunConfig(
    data="smallnorb",
    model="em-capsnet",
    steps=2_000_000,
    batch_size=64,
    lr=1e-2,
    lr_decay_steps=20_000,
    weight_decay=2e-7,
    recon_weight=0.0,
    shift=0,
    shrink=48,
    crop=32,
    brightness=63.0,
    contrast=0.8,
    color_first=True,
    standardize=True,
    validation=0,
)

add_recipe(
    "hinton2018-smallnorb",
    Recipe(
        _NORB,
        summary="matrix capsules with EM routing on smallNORB: 316,650 parameters, 32x32 patches, spread loss",
        source=_SOURCE,
        reported="test error 1.8 % (the released code; 1.3 % where 13 patches of each image decide together)",
        differs=f"{_CODE}; the middle patch is tested",
    ),
)
add_recipe(
    "hinton2018-smallnorb-small",
    Recipe(
        replace(_NORB, model="em-capsnet-small"),
        summary="the small network of matrix capsules on smallNORB: 68,618 parameters",
        source=_SOURCE,
        reported=UNCHECKED,
        differs=f"{_CODE}; the middle patch is tested",
    ),
)
add_recipe(
    "hinton2018-mnist",
    Recipe(
        RunConfig(
            data="mnist",
            model="em-capsnet",
            steps=2_000_000,
            batch_size=64,
            lr=1e-2,
            lr_decay_steps=20_000,
            weight_decay=2e-7,
            recon_weight=0.0,
            validation=0,
        ),
        summary="matrix capsules with EM routing on MNIST, set up as on smallNORB",
        source=_SOURCE,
        reported=UNCHECKED,
        differs=f"{_CODE}; shifts of 2 pixels are those of Sabour et al. 2017",
    ),
)
add_recipe(
    "hinton2018-mnist-quick",
    Recipe(
        RunConfig(
            data="mnist",
            model="em-capsnet-tiny",
            epochs=3,
            batch_size=64,
            schedule="one-cycle",
            lr=1e-2,
            recon_weight=0.0,
            shift=0,
            crop=24,
            validation=5000,
        ),
        summary="EM routing on MNIST within half an hour of one processor core: a small network, 24x24 patches",
        source="Hinton, Sabour, Frosst, ICLR 2018",
        reported="no number for so short a run",
        differs="32, 8, 8 and 8 channels and types; poses and activations are normalised over the batch, and 0.3 is "
        "added to each variance: with the constants of the authors' code this network hardly learns in so few steps",
    ),
)
