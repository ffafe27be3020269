"""The record of a run's training, validation and test images, which later uses compare with the data."""

from collections.abc import Mapping, Sequence

from capsnet.data.dataset import Dataset, ImageData
from capsnet.data.survey import listed

_PARTS = ("train", "validation", "test")


def split_record(dataset: Dataset, validation: ImageData | None) -> dict[str, object]:
    """The names of the images in each split, in a form for JSON.

    Args:
        dataset: the run's data set.
        validation: the images that the run validates on: the data set's own, or images held out of its training images;
            None without validation.

    Returns:
        `data`, the data set's name; `counts`, the number of images in each split; and, if images are files or have
        keys, their names in `train` (without `validation`), `validation` and `test`.
    """
    held = set(name_images(validation) or ())
    train = name_images(dataset.train)
    record: dict[str, object] = {
        "data": dataset.name,
        "counts": {
            "train": len(dataset.train) - (len(validation) if validation and dataset.validation is None else 0),
            "validation": len(validation) if validation else 0,
            "test": len(dataset.test),
        },
    }
    if train is not None:
        record["train"] = [name for name in train if name not in held]
        record["validation"] = sorted(held)
        record["test"] = list(name_images(dataset.test) or ())
    return record


def check_record(record: Mapping[str, object], dataset: Dataset, validation: ImageData | None) -> tuple[str, ...]:
    """Sentences about what changed in a data set since a record was made; empty if nothing did.

    Args:
        record: a result of `split_record`, read from JSON.
        dataset: the data set as it is now.
        validation: images now held out of its training images, or None.
    """
    today = split_record(dataset, validation)
    before, after = _parts_of(record), _parts_of(today)
    if before is None or after is None:
        counts = record.get("counts")
        same = counts == today["counts"]
        return () if same else (f"The splits of {dataset.name} held {counts}, now {today['counts']}.",)
    old = {name: part for part, names in before.items() for name in names}
    if validation is None and dataset.validation is not None:
        # earlier versions recorded the data set's own validation images of runs that did not use them
        old = {name: part for name, part in old.items() if part != "validation"}
    new = {name: part for part, names in after.items() for name in names}
    gone, added = sorted(set(old) - set(new)), sorted(set(new) - set(old))
    moved = sorted(name for name in set(old) & set(new) if old[name] != new[name])
    notes = []
    if gone:
        notes.append(f"{len(gone)} images were removed or renamed since the run was made: {listed(gone)}.")
    if added:
        notes.append(f"{len(added)} images were added since the run was made: {listed(added)}.")
    learned = [name for name in moved if new[name] == "test"]
    if learned:
        notes.append(f"{len(learned)} test images were in training or validation: {listed(learned)}.")
    if other := [name for name in moved if new[name] != "test"]:
        notes.append(f"{len(other)} images changed splits since the run was made: {listed(other)}.")
    return tuple(notes)


def learned_names(record: Mapping[str, object]) -> frozenset[str]:
    """Names of a run's training and validation images; empty if the record has no names."""
    parts = _parts_of(record) or {}
    return frozenset(parts.get("train", ())) | frozenset(parts.get("validation", ()))


def name_images(data: ImageData | None) -> Sequence[str] | None:
    """The file of each image, or a hash of its pixels as text; None: it has neither."""
    if data is None:
        return None
    if data.files is not None:
        return data.files
    return None if data.keys is None else [f"{key & (2**64 - 1):016x}" for key in data.keys.tolist()]


def _parts_of(record: Mapping[str, object]) -> dict[str, list[str]] | None:
    parts = {}
    for part in _PARTS:
        names = record.get(part)
        if not isinstance(names, list):
            return None
        parts[part] = [str(name) for name in names]
    return parts
