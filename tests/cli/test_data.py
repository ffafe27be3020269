"""`capsnet data` on every data set, from small files in the official formats."""

import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_cli import call
from tests.official import write_affnist, write_cifar10, write_cifar100, write_mnist, write_smallnorb, write_svhn

from capsnet.runs import Run, load
from capsnet.runs.data import load_dataset

SETS = {
    "mnist": (write_mnist, [1, 28, 28], 20, 20),
    "multimnist": (write_mnist, [1, 36, 36], 20, 20),
    "affnist-like": (write_mnist, [1, 40, 40], 20, 20),
    "affnist": (write_affnist, [1, 40, 40], 20, 10),
    "cifar10": (write_cifar10, [3, 32, 32], 20, 4),
    "cifar100": (write_cifar100, [3, 32, 32], 6, 6),
    "smallnorb": (write_smallnorb, [2, 96, 96], 10, 10),
    "smallnorb-azimuth": (write_smallnorb, [2, 96, 96], 3, 7),
    "smallnorb-elevation": (write_smallnorb, [2, 96, 96], 4, 6),
    "svhn": (write_svhn, [3, 32, 32], 12, 12),
}


@pytest.mark.parametrize("name", SETS)
def test_every_set_is_counted_and_drawn(capsys, tmp_path, name):
    write, shape, train, test = SETS[name]
    line = f"data {name} --data-dir {write(tmp_path / 'data')}"
    status, out, _ = call(capsys, line, "--figure", tmp_path / "data.png")
    assert status == 0
    assert out.startswith(f"{name}: ")
    assert "x".join(map(str, shape)) in out
    with Image.open(tmp_path / "data.png") as picture:
        assert picture.width > 300
    values = json.loads(call(capsys, f"{line} --json")[1])
    assert values["image_shape"] == shape
    assert (sum(values["train"]), sum(values["test"])) == (train, test)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("affnist", "test.mat.zip"),
        ("cifar10", "data_batch_2.bin"),
        ("smallnorb", "smallnorb-5x01235x9x18x6x2x96x96-testing-cat.mat.gz"),
        ("svhn", "train_32x32.mat"),
    ],
)
def test_a_cut_off_file_ends_with_status_2_and_its_name(capsys, tmp_path, name, file):
    path = SETS[name][0](tmp_path) / name / file
    path.write_bytes(path.read_bytes()[:-9])
    status, out, err = call(capsys, f"data {name} --data-dir", tmp_path)
    assert status == 2
    assert str(path) in err
    assert out == ""
    assert err.count("\n") == 1


def test_test_pairs_are_counted(capsys, tmp_path):
    line = f"data multimnist --data-dir {write_mnist(tmp_path)}"
    assert "pairs of 20 training digits" in call(capsys, line)[1]
    assert json.loads(call(capsys, f"{line} --json")[1])["test_pairs"] == 20


def test_a_network_for_pairs_is_evaluated_and_names_two_digits(capsys, tmp_path):
    data = write_mnist(tmp_path / "data")
    line = f"train sabour2017-multimnist --data-dir {data} --model capsnet-tiny --steps 2 --batch-size 4 --out"
    status, out, _ = call(capsys, line, tmp_path / "run")
    assert status == 0
    assert "of 20 pairs" in out
    line = f"evaluate {tmp_path / 'run'} --data-dir {data} --pairs-per-digit 3"
    assert "60 pairs" in call(capsys, line)[1]
    values = json.loads(call(capsys, f"{line} --json")[1])
    assert (values["n"], sum(map(sum, values["confusion"]))) == (60, 120)
    two = Image.new("L", (36, 36), 0)
    two.paste(255, (6, 6, 12, 28))
    two.paste(255, (20, 8, 26, 30))
    two.save(tmp_path / "two.png")
    line = f"predict {tmp_path / 'run'} {tmp_path / 'two.png'}"
    assert " and " in call(capsys, line)[1]
    assert len(json.loads(call(capsys, f"{line} --json")[1])["predictions"][0]["labels"]) == 2


@pytest.mark.parametrize("option", ["--flip", "--rotation 5", "--crop 30", "--standardize", "--brightness 9"])
def test_pairs_can_be_shifted_only(capsys, tmp_path, option):
    line = f"train sabour2017-multimnist --data-dir {write_mnist(tmp_path / 'data')} {option} --out"
    status, _, err = call(capsys, line, tmp_path / "run")
    assert status == 2
    assert "data that are pairs can only be shifted by whole pixels" in err
    assert not (tmp_path / "run").exists()


def test_what_matters_before_training_is_reported(capsys, photos, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    (folder / "rose" / "notes.txt").write_text("thorns")
    shutil.copy(folder / "rose" / "0.png", folder / "grass" / "copy.png")
    status, out, _ = call(capsys, "data --skip-unreadable", folder, "--figure", tmp_path / "photos.png")
    assert status == 0
    assert re.search(r"width +\d+ to \d+, median \d+ pixels", out)
    assert "modes   RGB 46" in out
    assert "1 files equal another one: grass/copy.png = rose/0.png" in out
    assert "notes.txt is not an image file" in out
    assert "1 file that cannot be read was left out: rose/notes.txt." in out
    assert "There is no test split: " in out
    assert (tmp_path / "photos.png").is_file()
    values = json.loads(call(capsys, "data --skip-unreadable --json", folder)[1])
    assert values["survey"]["modes"] == {"RGB": 46}
    assert len(values["survey"]["left_out"]) == 1
    assert any("copies in more than one class: 1" in note for note in values["notes"])


def test_validation_folder_has_a_column(capsys, photos, tmp_path):
    for name in ("Training", "Valid", "Testing"):
        shutil.copytree(photos, tmp_path / name)
    out = call(capsys, "data", tmp_path)[1]
    assert "45 training, 45 validation and 45 test images" in out
    assert re.search(r"rose +15 +15 +15", out)
    sources = "Training images are from Training/, validation images are from Valid/, test images are from Testing/"
    assert sources in " ".join(out.split())


def test_flat_test_folder_ends_with_status_2_and_the_remedy(capsys, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "train")
    (tmp_path / "test").mkdir()
    shutil.copy(photos / "rose" / "0.png", tmp_path / "test")
    status, out, err = call(capsys, "data", tmp_path)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"{tmp_path / 'test'} holds 1 files but no class folders" in err


@pytest.mark.parametrize("name", ["own.csv", "own.npz"])
def test_arrays_are_counted_and_trained_on(capsys, tmp_path, name):
    images = np.random.default_rng(0).integers(0, 256, size=(40, 20, 20)).astype(np.uint8)
    labels = np.arange(40) % 2
    if name == "own.npz":
        np.savez(tmp_path / name, images=images, labels=labels)
    else:
        table = np.column_stack([labels, images.reshape(40, -1)])
        np.savetxt(tmp_path / name, table, fmt="%d", delimiter=",")
    counts = json.loads(call(capsys, "data --json", tmp_path / name)[1])
    assert sum(counts["train"]) + sum(counts["test"]) == 40
    line = "train --model capsnet-tiny --steps 2 --batch-size 16 --json --out"
    status, out, _ = call(capsys, line, tmp_path / "run", "--data", tmp_path / name)
    assert status == 0
    assert json.loads(out)["test"]["n"] == sum(counts["test"])


def test_a_run_finds_its_relative_folder_from_any_directory(capsys, photos, tmp_path, monkeypatch):
    shutil.copytree(photos, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    line = "train --data photos --model capsnet-tiny --steps 1 --image-size 20 --out run"
    assert call(capsys, line)[0] == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    data = json.loads((tmp_path / "run" / "config.json").read_text())["data"]["name"]
    assert data == str(tmp_path / "photos")
    assert call(capsys, "train --steps 2 --resume", tmp_path / "run")[0] == 0
    shutil.rmtree(tmp_path / "photos")
    status, _, err = call(capsys, "train --steps 3 --resume", tmp_path / "run")
    assert (status, err.count("\n")) == (2, 1)
    assert f"{tmp_path / 'photos'}: no such folder or file; if it was moved" in err


@pytest.fixture
def ten_bits(tmp_path):
    """Two classes of grey images of 10 bits."""
    random = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "scans" / name).mkdir(parents=True)
        for number in range(8):
            values = random.integers(400 * label, 400 * label + 500, size=(20, 20)).astype(np.uint16)
            Image.fromarray(values).save(tmp_path / "scans" / name / f"{number}.png")
    return tmp_path / "scans"


def test_range_of_a_run_stays_when_a_brighter_file_is_added(capsys, ten_bits, tmp_path):
    line = "train --model capsnet-tiny --steps 1 --image-size 20 --out"
    assert call(capsys, line, tmp_path / "run", "--data", ten_bits)[0] == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["pixel_range"] == [0, 1023]
    Image.fromarray(np.full((20, 20), 60000, np.uint16)).save(ten_bits / "dark" / "bright.png")
    assert load_dataset(Run.open(tmp_path / "run").config).pixel_range == (0, 1023)


def test_pixel_range_that_is_given_is_used_and_stored(capsys, ten_bits, tmp_path):
    line = "train --pixel-range 0 900 --model capsnet-tiny --steps 1 --image-size 20 --out"
    assert call(capsys, line, tmp_path / "run", "--data", ten_bits)[0] == 0
    assert load(tmp_path / "run").inputs.pixel_range == (0, 900)
    dataset = load_dataset(Run.open(tmp_path / "run").config)
    assert int(max(part.images.max() for part in (dataset.train, dataset.test))) == 255


def test_resuming_a_run_of_an_older_capsnet_warns_of_other_held_out_images(capsys, photos, tmp_path):
    line = "train --model capsnet-tiny --steps 1 --image-size 20 --out"
    assert "no record of its images" not in call(capsys, line, tmp_path / "run", "--data", photos)[2]
    (tmp_path / "run" / "splits.json").unlink()
    status, _, err = call(capsys, "train --steps 2 --resume", tmp_path / "run")
    assert status == 0
    assert "has no record of its images: an older capsnet held out other images" in err


def test_names_that_are_not_utf8_are_printed(capsys, photos, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    for number in range(2):
        shutil.copy(folder / "rose" / "0.png", os.fsencode(folder / "rose") + b"/\xff%d.png" % number)
    status, out, _ = call(capsys, "data", folder)
    assert status == 0
    assert r"rose/0.png = rose/\xff0.png = rose/\xff1.png" in out
