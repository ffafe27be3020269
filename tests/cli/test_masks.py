"""`capsnet data` and `capsnet predict` for segmentation."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cli.test_cli import call
from tests.data.test_mask_folder import write

from capsnet.cli import main
from capsnet.data.mask_folder import open_mask
from capsnet.inference.segment import measure_pixels, number_pixels, read_image
from capsnet.models import create_segmenter, load_segmenter


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(4):
        mask = np.zeros((6, 8))
        mask[: number + 1, 0] = 1
        write(folder, f"{number}", mask)
    write(folder, "4", np.zeros((4, 4)))
    (folder / "classes.txt").write_text("cup\n")
    return folder


@pytest.fixture
def model_file(tmp_path):
    torch.manual_seed(0)
    model = create_segmenter("unet-small", image_shape=(1, 8, 8), num_classes=2)
    model.class_names = ("cup", "lid")
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_data_reports_the_pixels_of_each_class_and_draws_masks(capsys, scans, tmp_path):
    status, out, err = call(capsys, "data", scans, "--figure", tmp_path / "a.png")
    assert status == 0, err
    assert "grey images with masks" in out
    assert "cup               4    4.81 %" in out
    assert "1 images hold background only" in out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    values = json.loads(call(capsys, "data", scans, "--json")[1])
    assert (values["kind"], values["class_names"], values["images"]) == ("masks", ["cup"], [4])
    assert values["pixel_shares"] == pytest.approx([10 / (4 * 48 + 16)])
    assert values["train"] + values["test"] == 5


@pytest.mark.parametrize("line", ["--skip-unreadable", "--image-size 0"])
def test_an_option_for_images_is_refused(line, capsys, scans):
    status, _, err = call(capsys, f"data {line}", scans)
    assert status == 2
    assert f"{line.split()[0]} must be left out: it is for images in class folders" in err


def test_an_answer_that_is_not_finite_is_refused(capsys, scans, model_file):
    model = load_segmenter(model_file)
    for weight in model.parameters():
        weight.data.fill_(float("nan"))
    model.save(model_file)
    status, out, err = call(capsys, "predict --json", model_file, scans / "images" / "1.png")
    assert (status, out) == (2, "")
    assert "the network's answer is not finite" in err


def test_predicted_masks_are_written_with_class_numbers(capsys, scans, model_file, tmp_path):
    image, out = scans / "images" / "1.png", tmp_path / "masks"
    status, text, _ = call(capsys, "predict", model_file, image, "--json", "--out", out, "--figure", tmp_path / "a.png")
    assert status == 0
    prediction = json.loads(text)["predictions"][0]
    lengths = measure_pixels(load_segmenter(model_file), read_image(image, 1))
    numbers = number_pixels(lengths)
    assert prediction["mask"] == str(out / "1.png")
    assert np.asarray(open_mask(out / "1.png")).tolist() == numbers.tolist()
    assert [row["pixels"] for row in prediction["classes"]] == (lengths > 0.5).sum(dim=(1, 2)).tolist()
    assert [row["class_name"] for row in prediction["classes"]] == ["cup", "lid"]
    assert prediction["overlap"] == int((lengths > 0.5).all(dim=0).sum())
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_overwritten(capsys, scans, model_file, tmp_path):
    other = tmp_path / "other" / "1.png"
    other.parent.mkdir()
    Image.new("L", (4, 4)).save(other)
    image = scans / "images" / "1.png"
    status, _, err = call(capsys, "predict", model_file, image, other, "--out", tmp_path / "masks")
    assert status == 2
    assert "two images would have the mask" in err
    assert not (tmp_path / "masks").exists()
    status, _, err = call(capsys, "predict", model_file, image, "--out", other.parent)
    assert (status, "exists; give another --out" in err) == (2, True)


def test_an_unreadable_image_is_listed_and_the_others_are_segmented(capsys, scans, model_file, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no")
    status, out, err = call(capsys, "predict", model_file, tmp_path / "bad.png", scans / "images" / "1.png")
    assert status == 2
    assert "1.png: 8x6 pixels" in out
    assert "1 of 2 files could not be read" in err


def test_options_of_other_models_are_refused(capsys, scans, model_file):
    status, _, err = call(capsys, "predict", model_file, scans / "images" / "1.png", "--as-is")
    assert (status, "--as-is is for networks that classify images" in err) == (2, True)
    status, _, err = call(capsys, "predict efficient-capsnet-mnist x.png --out masks")
    assert (status, "--out is for masks" in err) == (2, True)
    status, _, err = call(capsys, "demo", model_file)
    assert status == 2
    assert "holds a segmenter, which does not classify images; use capsnet.models.load_segmenter" in err


def test_a_command_that_reads_no_image_leaves_no_folder(model_file, tmp_path):
    words = ["predict", str(model_file), str(tmp_path / "typo.png"), "--out", str(tmp_path / "masks")]
    assert main(words) == 2
    assert not (tmp_path / "masks").exists()
