"""Names in files for other people: paths of this machine stay on it."""

from pathlib import Path


def public_name(name: str) -> str:
    """The name of a data set or file in what is published: of a path on this machine its last part only.

    Example:
        >>> public_name("/home/ada/patients/scans"), public_name("hf:owner/scans")
        ('scans', 'hf:owner/scans')
    """
    path = Path(name)
    return path.name if path.is_absolute() else name
