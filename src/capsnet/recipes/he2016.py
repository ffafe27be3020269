"""He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016: a control without capsules."""

from capsnet.recipes.recipe import Recipe, add_recipe, cited
from capsnet.runs.config import RunConfig

add_recipe(
    "he2016-cifar10",
    Recipe(
        RunConfig.from_defaults(
            data="cifar10",
            model="resnet-20",
            epochs=182,
            batch_size=128,
            optimizer="sgd",
            lr=0.1,
            momentum=0.9,
            weight_decay=1e-4,
            schedule="step",
            lr_decay=0.1,
            lr_milestones=(91, 136),
            recon_weight=0.0,
            shift=4,
            flip=True,
            validation=5000,
        ),
        summary="ResNet-20 on CIFAR-10, a control without capsules: 269,722 parameters, 182 epochs of SGD",
        source="He, Zhang, Ren, Sun, CVPR 2016",
        reported="test error 8.75 %",
        differs="pixels are in [0, 1], where the paper subtracts the mean of each pixel; the learning rate falls after "
        "91 and 136 whole epochs, where it falls after 32,000 and 48,000 of 64,000 steps; the 5,000 "
        "held-out images choose the weights, in the paper the schedule only",
        settings=cited(
            "He et al. 2016",
            **dict.fromkeys(
                (
                    *("model", "epochs", "batch_size", "optimizer", "lr", "momentum", "weight_decay"),
                    *("schedule", "lr_decay", "lr_milestones", "recon_weight", "shift", "flip", "validation"),
                ),
                "section 4.2",
            ),
        ),
    ),
)
