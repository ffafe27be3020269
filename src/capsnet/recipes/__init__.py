"""Recipes: runs as data, one file per paper, each with the number that its source reports."""

from capsnet.recipes.recipe import RECIPES as RECIPES
from capsnet.recipes.recipe import Recipe as Recipe
from capsnet.registry import import_modules

import_modules(__name__)


__all__ = ["RECIPES", "Recipe"]
