import gzip

import numpy as np
import pytest
import torch
from tests.official import NORB_STEMS, norb_arrays, norb_bytes, write_smallnorb

from capsnet.data import load_data
from capsnet.data.smallnorb import INFO, read_norb
from capsnet.errors import UserError

BYTE = np.dtype("u1")


def test_stereo_pair_is_two_channels_of_one_image(tmp_path):
    dataset = load_data("smallnorb", data_dir=write_smallnorb(tmp_path))
    assert dataset.train.image_shape == (2, 96, 96)
    assert dataset.train.labels.tolist() == [0, 1, 2, 3, 4] * 2
    assert (dataset.test.images.numpy() == norb_arrays("testing")["dat"]).all()


def test_toy_and_viewpoint_are_kept(tmp_path):
    train = load_data("smallnorb", data_dir=write_smallnorb(tmp_path)).train
    assert INFO == ("instance", "elevation", "azimuth", "lighting")
    assert train.info[8].tolist() == [8, 8, 16, 2]
    assert train.select(torch.tensor([8, 0])).info.tolist() == [[8, 8, 16, 2], [4, 0, 0, 0]]


@pytest.mark.parametrize(("column", "familiar"), [("azimuth", {0, 2, 4, 30, 32, 34}), ("elevation", {0, 1, 2})])
def test_familiar_viewpoints_are_trained_on_and_all_others_tested(tmp_path, column, familiar):
    dataset = load_data(f"smallnorb-{column}", data_dir=write_smallnorb(tmp_path, 20))
    seen, new = (set(part.info[:, INFO.index(column)].tolist()) for part in (dataset.train, dataset.test))
    every = set(norb_arrays("training", 20)["info"][:, INFO.index(column)].tolist())
    assert seen == familiar & every
    assert new == every - familiar


def test_unpacked_files_are_found_too(tmp_path):
    write_smallnorb(tmp_path)
    for path in (tmp_path / "smallnorb").glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert len(load_data("smallnorb", data_dir=tmp_path).test) == 10


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:5], "truncated in the header, 5 bytes"),
        (lambda data: data[:20], "must have 4 axes, got 4 in 20 bytes"),
        (lambda data: data[:-1], "truncated, its header says 3x2x96x96"),
        (lambda data: data + b"\0", "too long"),
        (lambda data: b"\x54" + data[1:], "magic number must be 1e3d4c55 .uint8 values., got 1e3d4c54"),
        (lambda data: data[:4] + b"\3" + data[5:], "must have 4 axes, got 3"),
        (lambda data: data[:4] + b"\xff\xff\xff\x7f" + data[8:], "must have 4 axes"),
        (lambda data: data[:12] + b"\1" + data[13:], "must be nx2x96x96, its header says 3x1x96x96"),
        (lambda data: data[:8] + b"\xff\xff\xff\xff" + data[12:], "must be nx2x96x96, its header says -1x2"),
        (
            lambda data: data[:8] + b"\xff\xff\xff\x7f" + data[12:],
            "must be at most 24,300 rows, its header says 21474",
        ),
    ],
)
def test_damaged_file_is_named_with_the_check_that_failed(tmp_path, damage, words):
    path = tmp_path / "dat.mat"
    path.write_bytes(damage(norb_bytes(np.zeros((3, 2, 96, 96), np.uint8))))
    with pytest.raises(UserError, match=words) as fault:
        read_norb(path, BYTE, (None, 2, 96, 96))
    assert str(path) in str(fault.value)


@pytest.mark.parametrize(
    ("part", "array", "words"),
    [
        ("cat", np.full(10, 5, np.int32), "labels must be 0 to 4, got 5 to 5"),
        ("cat", np.zeros(9, np.int32), "holds 10 pairs but .*cat.* 9 labels"),
        ("info", np.full((10, 4), 4, np.int32)[:9], "holds 10 pairs but .*info.* 9 rows"),
        ("info", np.full((10, 4), 8, np.int32), "lighting must be 0 to 5, got 8 to 8"),
        ("info", norb_arrays("testing")["info"], "training files hold the instances 4, 6, 7, 8, 9, this one has 0"),
        ("cat", norb_arrays("training")["dat"], "magic number must be 1e3d4c54"),
    ],
)
def test_mislabelled_or_exchanged_files_are_refused(tmp_path, part, array, words):
    path = write_smallnorb(tmp_path) / "smallnorb" / f"{NORB_STEMS['training']}-{part}.mat.gz"
    path.write_bytes(gzip.compress(norb_bytes(array), 1))
    with pytest.raises(UserError, match=words) as fault:
        load_data("smallnorb", data_dir=tmp_path)
    assert str(path) in str(fault.value)


def test_cut_off_gzip_is_named(tmp_path):
    path = write_smallnorb(tmp_path) / "smallnorb" / f"{NORB_STEMS['testing']}-dat.mat.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"testing-dat\.mat\.gz: truncated or corrupt gzip"):
        load_data("smallnorb", data_dir=tmp_path)


@pytest.mark.real_data
def test_genuine_pairs_survive_the_format(data_dir, tmp_path):
    sample = data_dir / "smallnorb-sample" / "smallnorb-sample12.npz"
    if not sample.is_file():
        pytest.skip("needs smallnorb-sample/ in $CAPSNET_DATA_DIR")
    values = np.load(sample)
    folder = tmp_path / "smallnorb"
    folder.mkdir()
    for split, stem in NORB_STEMS.items():
        chosen = values["split"] == split.removesuffix("ing")
        parts = {
            "dat": values["images"],
            "cat": values["labels"].astype(np.int32),
            "info": values["info"].astype(np.int32),
        }
        for part, array in parts.items():
            (folder / f"{stem}-{part}.mat").write_bytes(norb_bytes(array[chosen]))
    dataset = load_data("smallnorb", data_dir=tmp_path)
    assert dataset.train.counts() == [2, 1, 1, 1, 1]
    left, right = dataset.train.images.float().unbind(1)
    # two views of one thing: much nearer to each other than to the next pair
    assert (left - right).abs().mean() < 0.5 * (left - right.roll(1, 0)).abs().mean()
