"""The default recipe of `capsnet train --data FOLDER`."""

from capsnet.recipes.recipe import Recipe, add_recipe, own
from capsnet.runs.config import RunConfig

# the paper's network learns nothing from a few dozen photos; a residual trunk copes with busy backgrounds, and one of
# three strided blocks at 64 pixels learns more in the same time than ResNet-20 at 48 (docs/backbones.md)
# standardisation cancels changes of brightness, and of the contrast of grey images; that of colours stays
add_recipe(
    "own-images",
    Recipe(
        RunConfig.from_defaults(
            data="photos",
            image_size=64,
            model="self-routing-capsnet-small",
            epochs=None,
            batch_size=16,
            schedule="one-cycle",
            lr=2e-3,
            recon_weight=0.0,
            shift=4,
            rotation=15.0,
            contrast=0.5,
            standardize=True,
        ),
        summary="a folder of your own images (--data FOLDER): a small residual network under self-routing, 64x64",
        source="this package; the network of Hahn, Pyeon, Kim, NeurIPS 2019",
        reported="no number: it depends on the images",
        settings=own(
            *("image_size", "model", "epochs", "batch_size", "schedule", "lr", "recon_weight", "shift", "rotation"),
            *("contrast", "standardize", "validation"),
        ),
    ),
)
