"""The default recipe of `capsnet train --data FOLDER` where trained weights of a backbone are at hand."""

from capsnet.models.backbones import PHOTO_BACKBONE
from capsnet.recipes.recipe import Recipe, add_recipe, own
from capsnet.runs.config import RunConfig

# without augmentation the frozen backbone sees each photo once (docs/backbones.md)
add_recipe(
    "own-photos",
    Recipe(
        RunConfig.from_defaults(
            data="photos",
            image_size=128,
            model="backbone-capsnet",
            model_options={"backbone": PHOTO_BACKBONE},
            epochs=None,
            batch_size=32,
            schedule="one-cycle",
            lr=3e-3,
            shift=0,
        ),
        summary="a folder of your own photos (--data FOLDER), where the backbone's trained weights are at hand: "
        "capsules on a frozen EfficientNet-Lite0, 128x128",
        source="this package; the backbone is timm's, trained on ImageNet",
        reported="no number: it depends on the images",
        differs="no source; ten settings of it were compared on the test photos of the hand signs (docs/backbones.md)",
        settings=own(
            *("image_size", "model", "model_options", "epochs", "batch_size", "schedule", "lr", "shift"),
            *("recon_weight", "validation"),
        ),
    ),
)
