"""Time series in `.ts` files, the format of the UCR and UEA archives.

Bagnall et al., "The UEA multivariate time series classification archive, 2018". Lines that begin with `#` are comments,
lines with `@` describe the data; after `@data` each line is a case: channels divided by `:`, their values by `,`, and
the class at the end.
"""

from pathlib import Path

import numpy as np
import torch

from capsnet.data.files import read_bytes
from capsnet.data.sequences import SequenceData, pad_sequences
from capsnet.errors import UserError

_LARGEST = 1 << 30
_WORDS = {"true": True, "false": False}


def read_ts(path: str | Path) -> SequenceData:
    """Read a `.ts` file with class labels; cases may have different lengths.

    Raises:
        UserError: a file that is missing or of another format, with time stamps, without classes, or with missing
            values or channels of different lengths.
    """
    path = Path(path)
    try:
        lines = read_bytes(path, _LARGEST).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a .ts file (not UTF-8 text)") from None
    # the format's key words are in any case, class names as they are
    header: dict[str, list[str]] = {}
    sequences: list[torch.Tensor] = []
    labels: list[int] = []
    in_data = False
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if not in_data and line.startswith("@"):
            # "@" alone is a word without letters
            word, *values = line[1:].split() or [""]
            header[word.lower()] = values
            in_data = word.lower() == "data"
            if in_data:
                classes = _classes(header, path)
            continue
        if not in_data:
            raise UserError(f"{path}, line {number}: expected a line with @ before @data; is it a .ts file?")
        try:
            sequence, label = _case(line, classes)
            if sequences and len(sequence) != len(sequences[0]):
                raise ValueError(f"{len(sequence)} channels, the first case has {len(sequences[0])}")
        except ValueError as fault:
            raise UserError(f"{path}, line {number}: {fault}") from None
        sequences.append(torch.from_numpy(sequence))
        labels.append(label)
    if not sequences:
        raise UserError(f"{path} holds no cases after @data; is it a .ts file?")
    return pad_sequences(sequences, labels, classes)


def _classes(header: dict[str, list[str]], path: Path) -> tuple[str, ...]:
    """Class names; checks what the file says of itself."""
    if _WORDS.get(" ".join(header.get("timestamps", ["false"])).lower(), True):
        raise UserError(f"{path} has time stamps, which are not supported; export its values at equal intervals")
    given = header.get("classlabel", ["false"])
    if not given or not _WORDS.get(given[0].lower(), False) or len(given) < 2:
        raise UserError(f"{path} has no classes (@classLabel true and their names)")
    twice = next((name for name in given[1:] if given[1:].count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}: @classLabel names the class {twice!r} twice")
    return tuple(given[1:])


def _case(line: str, classes: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """Values `c t` and the class index of a line.

    Raises:
        ValueError: the reason why it is no case.
    """
    *channels, label = (text.strip() for text in line.split(":"))
    if label not in classes:
        raise ValueError(f"class {label!r} is none of {', '.join(classes)}")
    rows = [[float(value) for value in channel.split(",")] for channel in channels]
    if not rows or len({len(row) for row in rows}) != 1:
        raise ValueError("channels must have one length")
    values = np.array(rows, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ValueError("a value is missing or not finite")
    return values, classes.index(label)
