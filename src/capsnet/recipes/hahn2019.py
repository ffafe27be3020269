"""Hahn, Pyeon, Kim, "Self-Routing Capsule Networks", NeurIPS 2019."""

from dataclasses import replace

from capsnet.recipes.recipe import UNCHECKED, Recipe, add_recipe
from capsnet.runs.config import RunConfig

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

_TRAINING = RunConfig(
    model="self-routing-capsnet",
    epochs=350,
    batch_size=64,
    optimizer="sgd",
    lr=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    schedule="step",
    lr_decay=0.1,
    lr_milestones=(150, 250),
    recon_weight=0.0,
    validation=0,
)
_BATCH = "batches of 64 are this package's choice"
_NORB = replace(_TRAINING, shift=0, shrink=48, crop=32, standardize=True)

add_recipe(
    "hahn2019-cifar10",
    Recipe(
        replace(_TRAINING, data="cifar10", shift=4, flip=True),
        summary="self-routing over ResNet-20 on CIFAR-10: one capsule layer, 350 epochs of SGD",
        source=_SOURCE,
        reported=UNCHECKED,
        differs=_BATCH,
    ),
)
add_recipe(
    "hahn2019-svhn",
    Recipe(
        replace(_TRAINING, data="svhn", shift=4),
        summary="self-routing over ResNet-20 on SVHN, trained as on CIFAR-10 without mirroring",
        source=_SOURCE,
        reported=UNCHECKED,
        differs=f"{_BATCH}, and so are length and shifts for SVHN",
    ),
)
for _column in ("azimuth", "elevation"):
    add_recipe(
        f"hahn2019-smallnorb-{_column}",
        Recipe(
            replace(_NORB, data=f"smallnorb-{_column}"),
            summary=f"self-routing over ResNet-20 on smallNORB: trained on a third of the {_column}s, tested on others",
            source=_SOURCE,
            reported=UNCHECKED,
            differs=f"{_BATCH}, and so are length and 32x32 patches; the last weights are kept, where the authors' "
            "code keeps those that are best on the new viewpoints",
        ),
    )
