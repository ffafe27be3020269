"""The error class for faults that the user can fix."""


class UserError(ValueError):
    """A usage error: one line with what, got, expected, remedy.

    The command line prints the line and exits with status 2; Python code may catch it as `ValueError`.
    """
