"""Hahn, Pyeon, Kim, "Self-Routing Capsule Networks", NeurIPS 2019, and the authors' code."""

from capsnet.recipes.recipe import UNCHECKED, Recipe, add_recipe, in_code, own
from capsnet.runs.config import RunConfig

_SOURCE = "Hahn, Pyeon, Kim, NeurIPS 2019"

add_recipe(
    "hahn2019-mnist-quick",
    Recipe(
        RunConfig.from_defaults(
            data="mnist",
            model="self-routing-capsnet",
            epochs=4,
            batch_size=32,
            schedule="one-cycle",
            lr=2e-3,
            recon_weight=0.0,
            validation=5000,
        ),
        summary="self-routing on MNIST in about ten minutes on one core: the paper's network with 16 of its 32 capsule "
        "types, 4 epochs",
        source=_SOURCE,
        reported="no number for this network and data",
        differs="16 types of capsule in place of 32; Adam with a one-cycle learning rate in place of 350 epochs of "
        "stochastic gradient descent",
        settings=own("model", "epochs", "batch_size", "schedule", "lr", "recon_weight", "shift", "validation"),
    ),
)

_TRAINING = RunConfig.from_defaults(
    model="self-routing-capsnet",
    model_options={"num_types": 32},
    epochs=200,
    batch_size=64,
    optimizer="sgd",
    lr=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    schedule="step",
    lr_decay=0.1,
    lr_milestones=(100, 150),
    recon_weight=0.0,
)
_CODE = "coder3000/SR-CapsNet@7622d38"
_SETTINGS = in_code(
    _CODE,
    model="models/resnet.py:229-230",
    model_options="config.py:45-48",
    epochs="README.md:22",
    batch_size="config.py:19",
    optimizer="trainer.py:124",
    lr="config.py:37",
    momentum="config.py:31",
    weight_decay="config.py:33",
    schedule="trainer.py:129",
    lr_decay="trainer.py:129",
    lr_milestones="trainer.py:129",
    recon_weight="trainer.py:111",
    validation="config.py:17, data_loader.py:56-69",
)
_PIXELS = (
    "pixels are in [0, 1], where the authors' code normalises each channel by the mean and the standard deviation of "
    "the data set"
)

add_recipe(
    "hahn2019-cifar10",
    Recipe(
        _TRAINING.change(data="cifar10", epochs=350, lr_milestones=(150, 250), shift=4, flip=True),
        summary="self-routing over ResNet-20 on CIFAR-10: one capsule layer, 931,664 parameters, 350 epochs of SGD",
        source=_SOURCE,
        reported=UNCHECKED,
        differs=_PIXELS,
        settings={
            **_SETTINGS,
            **in_code(
                _CODE,
                epochs="README.md:21",
                schedule="trainer.py:127",
                lr_decay="trainer.py:127",
                lr_milestones="trainer.py:127",
                shift="data_loader.py:23",
                flip="data_loader.py:24",
            ),
        },
    ),
)
add_recipe(
    "hahn2019-svhn",
    Recipe(
        _TRAINING.change(data="svhn", shift=4),
        summary="self-routing over ResNet-20 on SVHN: one capsule layer, 931,664 parameters, 200 epochs of SGD",
        source=_SOURCE,
        reported=UNCHECKED,
        differs=_PIXELS,
        settings={**_SETTINGS, **in_code(_CODE, shift="data_loader.py:33")},
    ),
)
_NORB = _TRAINING.change(shift=0, shrink=48, crop=32, brightness=32.0, contrast=0.3, validation=0)
for _column in ("azimuth", "elevation"):
    add_recipe(
        f"hahn2019-smallnorb-{_column}",
        Recipe(
            _NORB.change(data=f"smallnorb-{_column}"),
            summary=f"self-routing over ResNet-20 on smallNORB: trained on a third of the {_column}s, tested on others",
            source=_SOURCE,
            reported=UNCHECKED,
            differs="ResNet-20, where the authors' code has six convolutions (models/convnet.py:21-40); the two views "
            "are two channels, where that code treats each as an image; up to 32 is added to the pixels, where it "
            "multiplies them by up to 1 ± 32/255; images are shrunk by the mean of areas, there bilinearly; the last "
            "weights are kept, where it keeps those that are best on the new viewpoints",
            settings={
                **_SETTINGS,
                **in_code(
                    _CODE,
                    epochs="README.md:31",
                    schedule="trainer.py:131",
                    lr_decay="trainer.py:131",
                    lr_milestones="trainer.py:131",
                    recon_weight="trainer.py:121",
                    shrink="data_loader.py:40",
                    crop="data_loader.py:41",
                    shift="data_loader.py:40-45",
                    brightness="data_loader.py:42",
                    contrast="data_loader.py:42",
                ),
                **own("model", "validation"),
            },
        ),
    )
