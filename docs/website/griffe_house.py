"""How the Python reference reads the house's docstrings: `Example:` holds code, as `Examples:` does elsewhere."""

import re

import griffe


class HouseDocstrings(griffe.Extension):
    """Renames the section of each docstring."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: object) -> None:
        """Look at one object."""
        del kwargs
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
