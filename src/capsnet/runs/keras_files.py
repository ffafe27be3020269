"""Files of Keras, which are imported and not loaded."""

import shlex
from pathlib import Path

from capsnet.errors import UserError


def refuse_keras(path: Path) -> None:
    """Refuse a Keras file, which must be imported first.

    Raises:
        UserError: it is one; the command that imports it is named.
    """
    with path.open("rb") as file:
        hdf5 = file.read(8) == b"\x89HDF\r\n\x1a\n"
    if hdf5 or path.suffix == ".keras":
        raise UserError(
            f"{path} is a Keras file; convert it to a run first: capsnet import-keras {shlex.quote(str(path))} OUT"
        )
