"""Import matplotlib, with a clear error if it has no writable folder."""

from capsnet.errors import UserError

try:
    # raises OSError without a writable configuration folder
    import matplotlib.font_manager  # noqa: F401
except OSError:
    raise UserError("matplotlib has no writable folder; set MPLCONFIGDIR or TMPDIR to a writable one") from None
