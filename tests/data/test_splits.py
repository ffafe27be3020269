import json
from dataclasses import replace

import pytest
import torch

from capsnet.data import Dataset, ImageData, load_data
from capsnet.data.splits import check_record, learned_names, split_record


def part(*names):
    count = len(names)
    images = torch.zeros(count, 1, 2, 2, dtype=torch.uint8)
    return ImageData(images, torch.arange(count) % 2, ("a", "b"), files=tuple(f"{name}.png" for name in names))


@pytest.fixture
def dataset():
    return Dataset("photos", part(1, 2, 3), part(4, 5))


def test_record_names_the_images_of_each_part(dataset):
    record = json.loads(json.dumps(split_record(dataset, part(3))))
    assert record["train"] == ["1.png", "2.png"]
    assert (record["validation"], record["test"]) == (["3.png"], ["4.png", "5.png"])
    assert learned_names(record) == {"1.png", "2.png", "3.png"}
    assert check_record(record, dataset, part(3)) == ()


def test_changes_since_then_are_named(dataset):
    record = split_record(dataset, part(3))
    notes = check_record(record, Dataset("photos", part(1, 6), part(2, 5)), part(6))
    assert notes == (
        "2 images were removed or renamed since the run was made: 3.png, 4.png.",
        "1 images were added since the run was made: 6.png.",
        "1 test images were in training or validation: 2.png.",
    )


def test_an_image_that_left_the_validation_split_is_named(dataset):
    notes = check_record(split_record(dataset, part(3)), dataset, part(2))
    assert notes == ("2 images changed splits since the run was made: 2.png, 3.png.",)


def test_validation_of_the_data_sets_own_is_recorded(dataset):
    own = replace(dataset, validation=part(9))
    record = split_record(own, own.validation)
    assert (record["validation"], record["counts"]) == (["9.png"], {"train": 3, "validation": 1, "test": 2})
    # a run without validation did not use them
    record = split_record(own, None)
    assert (record["validation"], record["counts"]) == ([], {"train": 3, "validation": 0, "test": 2})


def test_data_without_files_has_counts_only():
    digits = load_data("digits")
    record = json.loads(json.dumps(split_record(digits, None)))
    assert record == {"data": "digits", "counts": {"train": 1438, "validation": 0, "test": 359}}
    assert check_record(record, digits, None) == ()
    assert len(check_record(record, replace(digits, test=digits.train), None)) == 1
