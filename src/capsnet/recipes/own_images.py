"""One's own images: what `capsnet train --data FOLDER` takes where no recipe is named."""

from capsnet.recipes.recipe import Recipe, add_recipe
from capsnet.training.config import RunConfig

add_recipe(
    "own-images",
    Recipe(
        RunConfig(data="photos", epochs=20, batch_size=16, lr=3e-4, lr_decay=0.93, lr_decay_steps=0, shift=2),
        summary="a folder of your own images (--data FOLDER): a smaller rate, since photos have no black background",
        source="this package",
        reported="no number: it depends on the images",
    ),
)
