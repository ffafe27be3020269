"""The error class for faults that the user can fix."""


class UserError(ValueError):
    """A usage error: one line with what, got, expected, remedy.

    The command line prints the line and exits with status 2; Python code may catch it as `ValueError`. Names that come
    from a file may hold anything: line ends and other control characters are written as `\\n`, `\\x1b`.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__("".join(_printable(character) for character in message))


def _printable(character: str) -> str:
    # a surrogate stands for a byte of a file's name, which is printed as it is
    if character.isprintable() or "\ud800" <= character <= "\udfff":
        return character
    return character.encode("unicode_escape").decode()
