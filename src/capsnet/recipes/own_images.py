"""The default recipe of `capsnet train --data FOLDER`."""

from capsnet.recipes.recipe import Recipe, add_recipe, own
from capsnet.runs.config import RunConfig

# the paper's network learns nothing from a few dozen photos; of the networks tried (dev/LOG.md, 2026-11-26) this one
# learned best: its residual trunk copes with busy backgrounds
add_recipe(
    "own-images",
    Recipe(
        RunConfig.from_defaults(
            data="photos",
            image_size=48,
            model="self-routing-capsnet",
            epochs=None,
            batch_size=16,
            schedule="one-cycle",
            lr=2e-3,
            recon_weight=0.0,
            shift=3,
            rotation=15.0,
            brightness=40.0,
            contrast=0.5,
            standardize=True,
        ),
        summary="a folder of your own images (--data FOLDER): a residual network under self-routing, 48x48",
        source="this package; the network of Hahn, Pyeon, Kim, NeurIPS 2019",
        reported="no number: it depends on the images",
        settings=own(
            *("image_size", "model", "epochs", "batch_size", "schedule", "lr", "recon_weight", "shift", "rotation"),
            *("brightness", "contrast", "standardize", "validation"),
        ),
    ),
)
