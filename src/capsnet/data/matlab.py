"""MATLAB 5 files, read by scipy."""

import warnings
from io import BytesIO

import numpy as np

from capsnet.errors import UserError


def read_matlab(data: bytes | bytearray, name: str, variable: str | tuple[str, ...]) -> dict[str, np.ndarray]:
    """Read variables of a MATLAB 5 file.

    Args:
        data: what the file holds.
        name: of the file, for messages.
        variable: names of the variables that it must hold.

    Returns:
        The variables by name, as scipy gives them: no axis is dropped, a struct is an array with named fields.

    Raises:
        UserError: a file that is truncated or no MATLAB 5 file, or one without such a variable.
    """
    from scipy.io import loadmat

    wanted = (variable,) if isinstance(variable, str) else variable
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = loadmat(BytesIO(data), variable_names=list(wanted))
    except NotImplementedError:
        raise UserError(f"{name}: is a MATLAB 7.3 file, the official one is of MATLAB 5; fetch it again") from None
    # scipy's reader trusts its input: a damaged file may end it with any error
    except Exception as fault:
        kind = type(fault).__name__
        raise UserError(f"{name}: truncated, or not a MATLAB 5 file ({kind}: {_line(fault)}); fetch it again") from None
    for key in wanted:
        if not isinstance(values.get(key), np.ndarray):
            raise UserError(f"{name}: holds no variable {key!r}; is it the official file?")
    return {key: values[key] for key in wanted}


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:120] or "no message"
