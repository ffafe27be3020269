import sys

import numpy as np
import pytest
import torch
from PIL import Image

from capsnet.data import load_data, locate_data
from capsnet.data.table_name import TableName
from capsnet.errors import UserError

CLASSES = ["blue sky", "grass", "rose"]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield pytest.importorskip("datasets")


@pytest.fixture(scope="module")
def rows(datasets, photos):
    """The photos and their classes as rows of a table."""
    files = sorted(path for path in photos.rglob("*.*"))
    columns = {"photo": [str(path) for path in files], "kind": [CLASSES.index(path.parent.name) for path in files]}
    types = datasets.Features({"photo": datasets.Image(), "kind": datasets.ClassLabel(names=CLASSES)})
    return datasets.Dataset.from_dict(columns, features=types)


def pixels(dataset):
    parts = (dataset.train, dataset.test)
    images = torch.cat([part.images[torch.arange(len(part))].flatten(1) for part in parts])
    labels = torch.cat([part.labels for part in parts])
    return sorted((int(label), *image.tolist()) for image, label in zip(images, labels, strict=True))


def test_saved_table_holds_the_images_of_the_folder(rows, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path / "cache"))
    rows.save_to_disk(tmp_path / "table")
    dataset = load_data(f"hf:{tmp_path / 'table'}", image_size=4, shards="always")
    assert dataset.train.class_names == tuple(CLASSES)
    assert any("shards" in note for note in dataset.notes)
    assert pixels(dataset) == pixels(load_data(str(photos), image_size=4))


def test_parquet_files_of_splits_are_its_splits(rows, tmp_path):
    parts = rows.shuffle(seed=0)
    parts.select(range(30)).to_parquet(tmp_path / "train-00000.parquet")
    parts.select(range(30, 45)).to_parquet(tmp_path / "test-00000.parquet")
    dataset = load_data(f"hf:{tmp_path}", image_size=4)
    assert (len(dataset.train), len(dataset.test)) == (30, 15)
    assert dataset.test.files[:2] == ("test/0", "test/1")
    chosen = load_data(f"hf:{tmp_path}:test", image_size=4)
    assert sorted(chosen.train.files + chosen.test.files) == sorted(f"test/{row}" for row in range(15))


def test_names_of_classes_may_be_texts(datasets, tmp_path):
    images = [Image.fromarray(np.full((6, 6), level, np.uint8)) for level in range(6)]
    types = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    table = datasets.Dataset.from_dict({"image": images, "label": ["b", "a"] * 3}, features=types)
    table.save_to_disk(tmp_path / "table")
    dataset = load_data(f"hf:{tmp_path / 'table'}", image_size=4)
    assert dataset.train.class_names == ("a", "b")
    assert dataset.train.image_shape == (1, 4, 4)


def test_tables_without_an_image_or_a_label_are_refused(datasets, rows, tmp_path):
    for name, table, reason in (
        ("images", rows.remove_columns("photo"), "one column of images"),
        ("labels", rows.remove_columns("kind"), "one column of labels"),
    ):
        table.save_to_disk(tmp_path / name)
        with pytest.raises(UserError, match=reason):
            load_data(f"hf:{tmp_path / name}")
    with pytest.raises(UserError, match="cannot load it"):
        load_data(f"hf:{tmp_path / 'none'}")
    rows.save_to_disk(tmp_path / "table")
    with pytest.raises(UserError, match="has no split 'more'; its splits are train"):
        load_data(f"hf:{tmp_path / 'table'}:more")


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'capsnet\[datasets\]'"):
        load_data("hf:owner/name")


def test_name_is_a_place_and_a_split(tmp_path):
    assert TableName.parse("hf:owner/name:test") == ("owner/name", "test")
    assert TableName.parse("hf:C:/photos") == ("C:/photos", None)
    (tmp_path / "a:b").mkdir()
    assert TableName.parse(f"hf:{tmp_path}/a:b") == (f"{tmp_path}/a:b", None)


def test_local_table_has_the_same_name_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "table").mkdir()
    monkeypatch.chdir(tmp_path)
    assert locate_data("hf:table:train") == f"hf:{tmp_path / 'table'}:train"
    assert locate_data("hf:owner/name") == "hf:owner/name"


def test_two_splits_of_one_kind_are_refused(rows, tmp_path):
    tables = {"train": rows, "val": rows, "validation": rows}
    sys.modules["datasets"].DatasetDict(tables).save_to_disk(tmp_path / "table")
    with pytest.raises(UserError, match="its splits 'val' and 'validation' are both the validation split; keep one"):
        load_data(f"hf:{tmp_path / 'table'}", image_size=4)
