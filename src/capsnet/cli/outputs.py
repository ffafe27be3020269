"""Files that a command will write: refused before any work if they cannot be written."""

import os
from pathlib import Path

from capsnet.errors import UserError


def check_output(path: Path | None, flag: str, *, suffix: str = "") -> None:
    """Check the path of a new file.

    Args:
        path: None: no file is written.
        flag: of the option.
        suffix: of the format that is written, such as `.png`; empty: any.

    Raises:
        UserError: the file exists, its folder does not, or its suffix is that of another format.
    """
    if path is None:
        return
    if os.path.lexists(path):
        raise UserError(f"{path} exists; give another {flag}")
    if suffix and path.suffix.lower() not in ("", suffix):
        raise UserError(f"{flag} must end in {suffix}, the format that is written, got {path}")
    if not path.parent.is_dir():
        raise UserError(f"{flag} must be in an existing folder, got {path}; create {path.parent}")
