"""Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 5 and Table 1."""

from capsnet.recipes.recipe import Recipe, add_recipe
from capsnet.training.config import RunConfig

_REPORTED = "test error 0.25 ± 0.005 % (3 routing iterations, with reconstruction, n = 3)"

add_recipe(
    "sabour2017-mnist",
    Recipe(
        RunConfig(data="mnist", epochs=640, validation=0),
        summary="the paper's text on MNIST: 8.2 million parameters, shifts of 2 pixels, reconstruction",
        source="Sabour, Frosst, Hinton, NeurIPS 2017",
        reported=_REPORTED,
        differs="the text does not state initialisation, batch size and length: batch 128 and 300,000 steps are the "
        "authors' code's; all 60,000 images are trained on, and the last weights kept",
    ),
)
add_recipe(
    "sabour2017-mnist-authors",
    Recipe(
        RunConfig(data="mnist", model="capsnet-authors", epochs=640, validation=0, recon_weight=0.01),
        summary="the authors' released code on MNIST: 1/32 before the primary squash, routing bias, loss ratio 0.01",
        source="Sabour, Frosst, Hinton, NeurIPS 2017, released code",
        reported=_REPORTED,
        differs="a new shift for each image and epoch in place of all 25 stored in a file; "
        "--validation 10000 is their validation mode, 50,000 images to train on",
    ),
)
add_recipe(
    "sabour2017-mnist-cnn",
    Recipe(
        RunConfig(data="mnist", model="baseline-cnn", epochs=640, validation=0, recon_weight=0.0),
        summary="the paper's baseline on MNIST: a CNN of 35.4 million parameters",
        source="Sabour, Frosst, Hinton, NeurIPS 2017",
        reported="test error 0.39 %",
        differs="the text does not state initialisation, batch size, length and the share of dropout: a half here; "
        "batch 128 and 300,000 steps are the authors' code's for the capsule network",
    ),
)
