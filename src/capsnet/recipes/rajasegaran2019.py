"""Rajasegaran et al., "DeepCaps: Going Deeper with Capsule Networks", CVPR 2019."""

from capsnet.recipes.recipe import Recipe, add_recipe, in_code, own
from capsnet.runs.config import RunConfig

_SOURCE = "Rajasegaran et al., CVPR 2019"
_TRAINING = RunConfig.from_defaults(
    model="deepcaps",
    epochs=100,
    batch_size=256,
    lr=1e-3,
    schedule="step",
    lr_decay=0.5,
    lr_milestones=tuple(range(10, 100, 10)),
    validation=0,
)
_DIFFERS = (
    "one phase of 100 epochs, where the released code trains 100 more by a harder margin (--option loss=hard-margin); "
    "shifts by whole pixels, up to 2 of 28 or 3 of 32 (there a tenth of the side), filled with zeros, without its zoom "
    "of 10 % and turns of 0.1 degrees; Adam's ε is 1e-8 in place of 1e-7; the last weights are "
    "kept, where that code keeps those that are best on the test set"
)
_CODE = "brjathu/deepcaps@c2f3be3"
_SETTINGS = in_code(
    _CODE,
    epochs="train.py:77",
    batch_size="train.py:78",
    optimizer="train.py:32",
    lr="train.py:79",
    schedule="train.py:24",
    lr_decay="train.py:24",
    lr_milestones="train.py:24",
    recon_weight="train.py:32",
    shift="train.py:40",
    validation="train.py:50-52",
)
_FLIP = in_code(_CODE, flip="train.py:41")

for _data, _title, _error in (("cifar10", "CIFAR-10", 7.26), ("svhn", "SVHN", 2.44)):
    add_recipe(
        f"rajasegaran2019-{_data}",
        Recipe(
            _TRAINING.change(
                data=_data,
                enlarge=64,
                shift=3,
                flip=_data == "cifar10",
                recon_weight=0.4 / (3 * 64**2),
            ),
            summary=f"DeepCaps on {_title}, scaled up to 64x64",
            source=_SOURCE,
            reported=f"test error {_error} % (the released code, several networks together)",
            differs=_DIFFERS if _data == "cifar10" else f"{_DIFFERS}; digits are not mirrored",
            settings={
                **_SETTINGS,
                **in_code(_CODE, model="deepcaps.py:22-91", enlarge="train.py:106-108, 113-116"),
                **(_FLIP if _data == "cifar10" else {}),
            },
        ),
    )
for _data, _title, _error in (("mnist", "MNIST", 0.28), ("fashion-mnist", "Fashion-MNIST", 5.27)):
    add_recipe(
        f"rajasegaran2019-{_data}",
        Recipe(
            _TRAINING.change(data=_data, shift=2, flip=_data != "mnist", recon_weight=0.4 / 28**2),
            summary=f"DeepCaps on {_title}",
            source=_SOURCE,
            reported=f"test error {_error} % (the released code, several networks together)",
            differs=_DIFFERS if _data != "mnist" else f"{_DIFFERS}; digits are not mirrored",
            settings={
                **_SETTINGS,
                **in_code(_CODE, model="deepcaps.py:94-164"),
                **(_FLIP if _data != "mnist" else {}),
            },
        ),
    )
add_recipe(
    "rajasegaran2019-mnist-quick",
    Recipe(
        RunConfig.from_defaults(
            data="mnist",
            model="deepcaps-small",
            epochs=4,
            batch_size=32,
            schedule="one-cycle",
            lr=2e-3,
            recon_weight=0.4 / 28**2,
            validation=5000,
        ),
        summary="DeepCaps on MNIST, minutes on one core: 8 types of capsule in each cell, 4 epochs",
        source=_SOURCE,
        reported="no number for this network and data",
        differs="8 types of capsule in place of 32, 32 channels in place of 128, class capsules of 16; one-cycle "
        "learning rate over 4 epochs in place of two phases of 100",
        settings={
            **own("model", "epochs", "batch_size", "schedule", "lr", "shift", "validation"),
            **in_code(_CODE, recon_weight="train.py:32"),
        },
    ),
)
