"""A survey of a folder of images before training: sizes, modes, copies, small and imbalanced classes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from jaxtyping import Int
from torch import Tensor

from capsnet.data.sources import ImageFiles, digest_file
from capsnet.errors import UserError

_SMALL, _UNEVEN, _NAMED = 5, 3, 5


@dataclass(frozen=True)
class Spread:
    """Smallest, median and largest value."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        low, middle, high = (f"{round(value, 2):,.6g}" for value in (self.low, self.median, self.high))
        return f"{low} to {high}, median {middle}"


@dataclass(frozen=True)
class Survey:
    """Statistics of the image files of a folder.

    Args:
        width: widths of the images in pixels.
        height: heights of the images in pixels.
        aspect: widths divided by heights.
        modes: number of files of each mode, such as RGB or L.
        left_out: unreadable files, with the reason.
        copies: groups of files with the same content, named relative to the folder.
        copies_across: the groups that lie in more than one split.
        copies_of_classes: the groups that lie in more than one class.
    """

    width: Spread
    height: Spread
    aspect: Spread
    modes: Mapping[str, int]
    left_out: tuple[str, ...]
    copies: tuple[tuple[str, ...], ...]
    copies_across: tuple[tuple[str, ...], ...]
    copies_of_classes: tuple[tuple[str, ...], ...]


def make_survey(
    sizes: Sequence[tuple[int, int]],
    modes: Iterable[str],
    left_out: Sequence[str],
    copies: Sequence[tuple[str, ...]],
    parts: Mapping[str, str],
    labels: Mapping[str, int],
) -> Survey:
    """Make a survey.

    Args:
        sizes: width and height of each image.
        modes: mode of each image.
        left_out: unreadable files, with the reason.
        copies: groups of files with the same content.
        parts: the split of each file by its name.
        labels: the class of each file by its name.
    """
    across = tuple(group for group in copies if len({parts[name] for name in group}) > 1)
    return Survey(
        make_spread([width for width, _ in sizes]),
        make_spread([height for _, height in sizes]),
        make_spread([width / height for width, height in sizes]),
        dict(Counter(modes).most_common()),
        tuple(left_out),
        tuple(copies),
        across,
        tuple(group for group in copies if len({labels[name] for name in group}) > 1),
    )


def find_copies(files: ImageFiles, names: Sequence[str], hashes: Int[Tensor, " m"]) -> tuple[tuple[str, ...], ...]:
    """Groups of files with the same content.

    Args:
        files: the data set's files.
        names: names of the files to compare.
        hashes: hashes of the images; only files with equal hashes are compared.

    Raises:
        UserError: a file that no longer exists.
    """
    alike: dict[int, list[str]] = defaultdict(list)
    for name, key in zip(names, hashes.tolist(), strict=True):
        alike[key].append(name)
    groups: dict[bytes, list[str]] = defaultdict(list)
    for same in alike.values():
        if len(same) > 1:
            for name in same:
                groups[_digest(files, name)].append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def describe_classes(class_names: Sequence[str], counts: Sequence[int]) -> list[str]:
    """Sentences about classes that have few training images, or many fewer than others."""
    notes = []
    small = [f"{name} ({count})" for name, count in zip(class_names, counts, strict=True) if 0 < count < _SMALL]
    if small:
        notes.append(f"Classes with fewer than {_SMALL} training images: {listed(small)}.")
    empty = [name for name, count in zip(class_names, counts, strict=True) if count == 0]
    if empty:
        notes.append(f"Classes without training images: {listed(empty)}.")
    least, most = min(filter(None, counts)), max(counts)
    if most > _UNEVEN * least:
        few, many = class_names[counts.index(least)], class_names[counts.index(most)]
        notes.append(
            f"Classes are imbalanced: {most} training images of {many}, {least} of {few}; accuracy favours large ones."
        )
    return notes


def listed(names: Sequence[str]) -> str:
    """The first five names and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def make_spread(values: Sequence[int] | Sequence[float]) -> Spread:
    """Smallest, median and largest of at least one value."""
    return Spread(float(min(values)), float(median(values)), float(max(values)))


def _digest(files: ImageFiles, name: str) -> bytes:
    try:
        return digest_file(files.open(name))
    except OSError as fault:
        raise UserError(f"{fault.filename} cannot be read ({fault.strerror})") from None
