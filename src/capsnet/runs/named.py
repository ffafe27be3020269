"""Configurations by the names of their recipes, which the room `recipes` fills."""

from capsnet.registry import Registry
from capsnet.runs.config import RunConfig

CONFIGS: Registry[RunConfig] = Registry("recipe", module="capsnet.recipes")
