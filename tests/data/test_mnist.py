import gzip

import pytest

from capsnet.data import load_data
from capsnet.data.download import find_stored
from capsnet.errors import UserError


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_real_sets_have_their_published_counts(data_dir, name):
    dataset = load_data(name, data_dir=data_dir)
    assert len(dataset.train) == 60_000
    assert len(dataset.test) == 10_000
    assert dataset.train.image_shape == (1, 28, 28)
    if name == "mnist":
        assert dataset.train.counts() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
        assert dataset.test.counts() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    else:
        assert set(dataset.train.counts()) == {6000}


@pytest.mark.real_data
def test_unpacked_files_are_found_too(data_dir, tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for packed in (data_dir / "mnist").glob("*.gz"):
        (folder / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    assert len(load_data("mnist", data_dir=tmp_path).test) == 10_000


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_names_with_a_dot_are_found_too(ending, tmp_path):
    (tmp_path / "mnist").mkdir()
    files = [f"{part}-idx{axes}-ubyte.gz" for part, axes in (("train-images", 3), ("train-labels", 1))]
    for file in files:
        (tmp_path / "mnist" / f"{file.removesuffix('.gz').replace('-idx', '.idx')}{ending}").touch()
    found = find_stored("mnist", files, tmp_path)
    assert found[files[0]].name == f"train-images.idx3-ubyte{ending}"
    assert found[files[1]].name == f"train-labels.idx1-ubyte{ending}"


def test_folder_given_without_the_files_is_named_and_nothing_is_downloaded(tmp_path):
    with pytest.raises(UserError, match=r"mnist/train-images-idx3-ubyte\.gz: no such file; data_dir must hold"):
        load_data("mnist", data_dir=tmp_path)


def test_files_that_lie_in_the_folder_itself_are_named_with_where_to_move_them(tmp_path):
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images.idx3-ubyte").touch()
        (tmp_path / f"{part}-labels.idx1-ubyte").touch()
    with pytest.raises(UserError, match=r"holds the files of mnist itself; move them into the folder .*mnist$"):
        load_data("mnist", data_dir=tmp_path)


def test_environment_variable_names_the_folder(tmp_path, monkeypatch):
    (tmp_path / "kmnist").mkdir()
    for file in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ):
        (tmp_path / "kmnist" / file).write_bytes(b"no idx file")
    monkeypatch.setenv("CAPSNET_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"kmnist/train-images-idx3-ubyte: not an IDX file"):
        load_data("kmnist")
