"""Recipes: runs as data, one file per paper, each with the number that its source reports."""

# the modules below register their recipes
from capsnet.recipes import capsnet_keras as _capsnet_keras  # noqa: F401
from capsnet.recipes import capsnet_project as _capsnet_project  # noqa: F401
from capsnet.recipes import hahn2019 as _hahn2019  # noqa: F401
from capsnet.recipes import hinton2018 as _hinton2018  # noqa: F401
from capsnet.recipes import mazzia2021 as _mazzia2021  # noqa: F401
from capsnet.recipes import own_images as _own_images  # noqa: F401
from capsnet.recipes import quickstart as _quickstart  # noqa: F401
from capsnet.recipes import rajasegaran2019 as _rajasegaran2019  # noqa: F401
from capsnet.recipes import ribeiro2020 as _ribeiro2020  # noqa: F401
from capsnet.recipes import sabour2017 as _sabour2017  # noqa: F401
from capsnet.recipes import shipped as _shipped  # noqa: F401
from capsnet.recipes import speedrun as _speedrun  # noqa: F401
from capsnet.recipes import tsai2020 as _tsai2020  # noqa: F401
from capsnet.recipes.recipe import RECIPES as RECIPES
from capsnet.recipes.recipe import Recipe as Recipe

__all__ = ["RECIPES", "Recipe"]
