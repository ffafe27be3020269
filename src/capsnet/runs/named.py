"""The registry of configurations by recipe name, which `capsnet.recipes` fills."""

from capsnet.registry import Registry
from capsnet.runs.config import RunConfig

CONFIGS: Registry[RunConfig] = Registry("recipe", module="capsnet.recipes")
