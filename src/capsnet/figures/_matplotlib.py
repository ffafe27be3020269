"""Imports matplotlib before any figure does: it needs a folder in which it may write."""

from capsnet.errors import UserError

try:
    # its import looks for that folder
    import matplotlib.font_manager  # noqa: F401
except OSError:
    raise UserError(
        "matplotlib finds no folder that it can write into; set MPLCONFIGDIR or TMPDIR to one that can be written"
    ) from None
