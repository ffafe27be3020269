"""Labels that come as numbers or names become class names and indices into them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from capsnet.data.formats import printable_name
from capsnet.data.survey import listed as shorten
from capsnet.errors import UserError

Label = int | str

# a damaged or hostile number must not make as many names
_MOST_CLASSES = 1 << 16
_MOST_NAME, _MOST_LIST_BYTES = 256, 16 << 20


def index_labels(
    labels: Mapping[str, Sequence[Label]],
    place: str,
    listed: Sequence[str] | None = None,
    known: Sequence[str] | None = None,
) -> tuple[tuple[str, ...], dict[str, list[int]]]:
    """Class names, and labels as indices into them.

    Args:
        labels: numbers or names, of the images of each split.
        place: where they were read, for messages.
        listed: the data set's own list of class names; None: numbers are their own names, names are in ascending order.
        known: the classes of a trained model, in its order; the result has these.

    Raises:
        UserError: numbers beside names, fewer than two classes, a number or name that is not in the list, or too many
            classes.
    """
    distinct = {label for part in labels.values() for label in part}
    kinds = {type(label) for label in distinct}
    if len(kinds) > 1:
        raise UserError(f"{place}: labels must be all numbers or all names, got {_example(distinct)}")
    names = tuple(listed) if listed is not None else _make_names(distinct, place)
    indices = _indices(distinct, names, place)
    if known is None:
        if len(distinct) < 2:
            raise UserError(f"{place}: all labels are {_example(distinct)}; at least two classes are needed")
        return names, {split: [indices[label] for label in part] for split, part in labels.items()}
    order = {name: position for position, name in enumerate(known)}
    for index in indices.values():
        if names[index] not in order:
            raise UserError(
                f"{place}: unknown class {names[index]!r}; the known classes are {shorten(known)}; if labels are "
                "numbers, put the names of the classes into classes.txt beside the files"
            )
    return tuple(known), {split: [order[names[indices[label]]] for label in part] for split, part in labels.items()}


def read_class_list(path: Path) -> tuple[str, ...] | None:
    """Class names from a text file, one a line, in the order of their numbers; None where there is no such file.

    Raises:
        UserError: a file that cannot be read, or names that are empty, too long, unprintable or not distinct.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_LIST_BYTES + 1)
        if len(data) > _MOST_LIST_BYTES:
            raise UserError(
                f"{path} must hold the name of a class in each line, got more than {_MOST_LIST_BYTES:,} bytes"
            )
        names = tuple(line.strip() for line in data.decode("utf-8-sig").rstrip().splitlines())
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise UserError(f"{path} cannot be read ({fault.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8") from None
    check_names(names, str(path))
    return names


def check_names(names: Sequence[str], place: str) -> None:
    """Check that class names can be printed and differ from each other.

    Raises:
        UserError: they cannot, or too many.
    """
    if len(names) > _MOST_CLASSES:
        raise UserError(f"{place}: at most {_MOST_CLASSES:,} classes are read, got {len(names):,}")
    for name in names:
        if not name or len(name) > _MOST_NAME or not name.isprintable():
            raise UserError(
                f"{place}: a class name must be 1 to {_MOST_NAME} printable characters, got "
                f"{printable_name(repr(name[:40]))}"
            )
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise UserError(f"{place}: the class name {twice!r} is there twice")


def _make_names(distinct: Iterable[Label], place: str) -> tuple[str, ...]:
    numbers = [label for label in distinct if isinstance(label, int)]
    names = sorted(label for label in distinct if isinstance(label, str))
    if numbers and max(numbers) < _MOST_CLASSES:
        # without a list of names, every number up to the largest is a class
        names = list(map(str, range(max(numbers) + 1)))
    elif numbers:
        raise UserError(f"{place}: labels must be below {_MOST_CLASSES:,}, got {max(numbers):,}")
    check_names(names, place)
    return tuple(names)


def _indices(distinct: Iterable[Label], names: Sequence[str], place: str) -> dict[Label, int]:
    order = {name: index for index, name in enumerate(names)}
    indices: dict[Label, int] = {}
    for label in distinct:
        if isinstance(label, int):
            if not 0 <= label < len(names):
                raise UserError(f"{place}: labels must be 0 to {len(names) - 1}, got {label:,}")
            indices[label] = label
        else:
            if label not in order:
                shown = printable_name(label[:_MOST_NAME])
                raise UserError(f"{place}: unknown class {shown!r}; the list of classes holds {shorten(names)}")
            indices[label] = order[label]
    return indices


def _example(distinct: Iterable[Label]) -> str:
    shown = sorted(map(str, distinct))[:2]
    return " and ".join(repr(printable_name(label[:40])) for label in shown)
