"""The one error class for faults that the user can mend."""


class UserError(ValueError):
    """A fault of the user's: one line with what, got, expected, remedy.

    The command line prints the line and leaves with exit status 2; Python code may catch it as `ValueError`.
    """
