import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import capsnet
from capsnet.cli import main
from capsnet.data.digits import load_digits
from capsnet.data.inputs import Inputs
from capsnet.errors import UserError
from capsnet.figures.prediction import draw_prediction
from capsnet.inference.predict import Failure, answer_files, predict
from capsnet.prediction import make_prediction
from capsnet.runs.weights import ModelSpec, save_weights

NAMES = tuple("0123456789")


def seven(ground=255, ink=0, size=(120, 110)):
    image = Image.new("L", size, ground)
    ImageDraw.Draw(image).line([(35, 20), (75, 20), (50, 90)], fill=ink, width=9)
    return image


@pytest.fixture(scope="module")
def model():
    return ModelSpec("capsnet-tiny", {}, NAMES, "digit", "digits").build().eval()


@pytest.fixture
def file(tmp_path):
    seven().save(tmp_path / "seven.png")
    return tmp_path / "seven.png"


def test_predict_is_a_name_of_the_package():
    assert capsnet.predict is predict


def test_images_of_a_data_set_are_taken_as_they_are(model):
    images = load_digits().test.images[:70]
    with torch.inference_mode():
        lengths = model(images / 255).lengths
    answers = predict(model, images)
    assert [answer.label for answer in answers] == lengths.argmax(dim=1).tolist()
    assert torch.allclose(torch.tensor([answer.lengths for answer in answers]), lengths, atol=1e-5)


def test_a_file_a_picture_and_a_list_give_the_same_answer(model, file):
    [one] = predict(model, file)
    [two] = predict(model, [seven()])
    assert one.lengths == two.lengths
    assert one.file == str(file)
    assert one.length == max(one.lengths) == one.lengths[one.label]


def test_poses_are_kept_where_they_are_wanted(model, file):
    [answer] = predict(model, [file], poses=True)
    assert np.linalg.norm(answer.poses, axis=1) == pytest.approx(answer.lengths, abs=1e-5)
    assert predict(model, [file])[0].poses is None


def test_an_even_image_has_no_label(model):
    [answer] = predict(model, [Image.new("L", (40, 40), 200)])
    assert (answer.label, answer.class_name) == (None, None)


@pytest.mark.parametrize("images", [torch.zeros(1, 28, 28), torch.zeros(2, 3, 28, 28, dtype=torch.uint8)])
def test_arrays_of_another_type_or_shape_are_refused(model, images):
    with pytest.raises(UserError, match=r"uint8 of the shape b x \(1, 28, 28\)"):
        predict(model, images)


def test_a_file_that_cannot_be_read_is_named(model, file):
    with pytest.raises(UserError, match=r"gone\.png: no such file"):
        predict(model, [file, file.with_name("gone.png")])


def test_answers_come_one_after_another_past_a_bad_file(model, file):
    def files():
        for number in range(200):
            assert number < 64, "a batch is answered before more files are read"
            yield file.with_name("gone.png") if number == 1 else file

    answers = answer_files(model, files())
    assert not isinstance(next(answers), Failure)
    assert "no such file" in next(answers).error
    assert not isinstance(next(answers), Failure)


@pytest.mark.parametrize("top", [1023, 4095])
def test_deep_files_give_the_answer_of_8_bits(model, tmp_path, top):
    grey = np.asarray(seven(), np.float32) / 255
    Image.fromarray((grey * top).round().astype(np.uint16)).save(tmp_path / "deep.png")
    [deep], [shallow] = predict(model, tmp_path / "deep.png"), predict(model, [seven()])
    assert deep.lengths == pytest.approx(shallow.lengths, abs=0.01)


def test_files_that_are_given_together_share_one_range(tmp_path):
    model = ModelSpec("capsnet-tiny", {}, NAMES, "fit", "digits").build().eval()
    for name, value in (("dim", 200), ("bright", 1000)):
        Image.fromarray(np.full((28, 28), value, np.uint16)).save(tmp_path / f"{name}.png")
    dim, _ = predict(model, [tmp_path / "dim.png", tmp_path / "bright.png"])
    expected = predict(model, torch.full((1, 28, 28), round(200 * 255 / 1023), dtype=torch.uint8))
    assert dim.lengths == pytest.approx(expected[0].lengths, abs=0.01)
    [given] = predict(model, tmp_path / "dim.png", pixel_range=(0.0, 400.0))
    expected = predict(model, torch.full((1, 28, 28), 128, dtype=torch.uint8))
    assert given.lengths == pytest.approx(expected[0].lengths, abs=0.01)


def test_deep_files_have_the_range_of_the_model(tmp_path):
    inputs = Inputs((1, 28, 28), pixel_range=(0.0, 2000.0))
    model = ModelSpec("capsnet-tiny", {}, NAMES, "fit", "digits", inputs).build().eval()
    Image.fromarray(np.full((28, 28), 1000, np.uint16)).save(tmp_path / "deep.png")
    [answer] = answer_files(model, [tmp_path / "deep.png"])
    assert answer.seen.unique().tolist() == [128]
    [given] = answer_files(model, [tmp_path / "deep.png"], pixel_range=(0.0, 1000.0))
    assert given.seen.unique().tolist() == [255]


def test_image_without_a_digit_has_no_pair_of_labels():
    assert make_prediction(NAMES[:2], [0.3, 0.1], pairs=True, pieces=0).labels is None
    assert make_prediction(NAMES[:2], [0.3, 0.1], pairs=True, pieces=1).labels == (0, 1)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux counts a process's memory")
def test_memory_does_not_grow_with_the_number_of_files(tmp_path):
    # as large as what other answers hold together
    file = tmp_path / "large.png"
    seven(size=(1000, 1000)).save(file)
    program = f"""
import resource, torch
from capsnet.inference.predict import answer_files
from capsnet.runs import load
torch.set_num_threads(1)
model = load("efficient-capsnet-mnist")
def peak(count):
    for answer in answer_files(model, [{str(file)!r}] * count):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak(64)
print(peak(200) - before)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 60


@pytest.fixture
def weights(tmp_path):
    spec = ModelSpec("capsnet-tiny", {}, NAMES, "digit", "digits")
    save_weights(tmp_path / "tiny.safetensors", spec.build(), spec)
    return tmp_path / "tiny.safetensors"


def test_the_command_goes_on_past_a_bad_file_and_names_it(capsys, weights, file):
    (file.with_name("text.png")).write_text("no image")
    line = ["predict", str(weights), str(file.with_name("text.png")), str(file)]
    assert main(line) == 2
    said = capsys.readouterr()
    assert f"{file}: " in said.out
    assert "text.png" in said.err
    assert "1 of 2 files could not be read" in said.err
    assert main([*line, "--json"]) == 2
    values = json.loads(capsys.readouterr().out)
    assert [entry["file"] for entry in values["predictions"]] == [str(file)]
    assert [list(entry) for entry in values["failed"]] == [["file", "error"]]


def test_the_command_gives_poses(capsys, weights, file):
    assert main(["predict", str(weights), str(file), "--json", "--poses"]) == 0
    [entry] = json.loads(capsys.readouterr().out)["predictions"]
    assert np.shape(entry["poses"]) == (10, 16)


def test_the_command_says_which_page_is_read(capsys, weights, tmp_path):
    seven().save(tmp_path / "two.gif", save_all=True, append_images=[seven(0, 255)])
    assert main(["predict", str(weights), str(tmp_path / "two.gif")]) == 0
    assert "the first of 2 frames is read" in capsys.readouterr().err


def test_the_figure_says_how_many_are_left_out(capsys, weights, file):
    target = file.with_name("seen.png")
    assert main(["predict", str(weights), *[str(file)] * 31, "--figure", str(target)]) == 0
    assert "(the first 30 of 31 images)" in capsys.readouterr().out
    assert target.exists()


def test_figure_marks_an_image_without_a_digit(monkeypatch, weights, file):
    marked = []

    def watch(*arguments, unsure, **options):
        marked.extend(unsure)
        return draw_prediction(*arguments, unsure=unsure, **options)

    monkeypatch.setattr("capsnet.figures.prediction.draw_prediction", watch)
    even = file.with_name("even.png")
    Image.new("L", (40, 40), 200).save(even)
    assert main(["predict", str(weights), str(file), str(even), "--figure", str(file.with_name("seen.png"))]) == 0
    assert marked == [False, True]


def test_several_digits_are_unsure_in_words_and_json(capsys, tmp_path):
    image = Image.new("L", (240, 110), 255)
    image.paste(seven(), (0, 0))
    image.paste(seven(), (100, 0))
    image.save(tmp_path / "two.png")
    line = ["predict", "efficient-capsnet-mnist", str(tmp_path / "two.png")]
    assert main(line) == 0
    assert "unsure: most like" in capsys.readouterr().out
    assert main([*line, "--json"]) == 0
    [entry] = json.loads(capsys.readouterr().out)["predictions"]
    assert entry["unsure"] is True
    assert "several pieces of ink" in entry["reasons"]
    assert entry["label"] is not None


@pytest.mark.parametrize(
    ("name", "words"), [("model.h5", "is a Keras file"), ("model.onnx", "is not a valid ONNX file")]
)
def test_files_of_other_frameworks_are_refused_by_name(capsys, weights, file, name, words):
    other = file.with_name(name)
    other.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    assert main(["predict", str(other), str(file)]) == 2
    assert f"{name} {words}" in capsys.readouterr().err
    assert main(["predict", str(weights), str(other)]) == 2
    assert name in capsys.readouterr().err


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("images", [None, 3, [3], np.array(["seven.png"])])
def test_what_is_no_image_is_refused(model, images):
    with pytest.raises(UserError, match="images must be"):
        predict(model, images)


def test_answer_does_not_depend_on_the_mode_of_the_model_or_on_the_other_images():
    network = ModelSpec("efficient-capsnet", {}, NAMES, "digit", "digits").build()
    images = torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8)
    expected = [answer.lengths for answer in predict(network.eval(), images)]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert [answer.lengths for answer in predict(network.train(), images[:1])] == [pytest.approx(expected[0], abs=1e-6)]
    assert network.training
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


def strokes_on_nothing():
    image = Image.new("RGBA", (120, 110), (0, 0, 0, 0))
    ImageDraw.Draw(image).line([(35, 20), (75, 20), (50, 90)], fill=(0, 0, 0, 255), width=9)
    return image


def turned():
    image = seven().transpose(Image.Transpose.ROTATE_90).convert("RGB")
    image.getexif()[0x0112] = 6
    return image


def twelve_bits():
    return Image.fromarray(np.asarray(seven(), np.uint16) * 16)


@pytest.mark.parametrize(("draw", "suffix"), [(strokes_on_nothing, "png"), (turned, "jpg"), (twelve_bits, "png")])
def test_picture_gets_the_answer_of_its_file(draw, suffix, model, tmp_path):
    image, path = draw(), tmp_path / f"seven.{suffix}"
    image.save(path, exif=image.getexif(), **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {}))
    [file], [opened] = predict(model, path), predict(model, Image.open(path))
    assert opened.lengths == pytest.approx(file.lengths, abs=1e-6)
    if suffix == "png":
        [drawn] = predict(model, image)
        assert drawn.lengths == pytest.approx(file.lengths, abs=1e-6)


def test_array_with_reversed_axes_is_taken(model):
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 28, 28), dtype=np.uint8)
    assert predict(model, images[..., ::-1]) == predict(model, images[..., ::-1].copy())


def test_an_answer_that_is_not_finite_is_refused(file):
    model = capsnet.create_model("capsnet-tiny").eval()
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    with pytest.raises(UserError, match=r"the network's answer is not finite"):
        capsnet.predict(model, file)


def test_pages_that_are_not_read_are_named(model, file, tmp_path):
    image = Image.open(file).convert("L")
    image.save(tmp_path / "two.tif", save_all=True, append_images=[image])
    with pytest.warns(UserWarning, match="2 pages"):
        capsnet.predict(model, tmp_path / "two.tif")


def test_an_unknown_preparation_is_refused(model, file, unchecked):
    with pytest.raises(UserError, match="preparation must be 'digit' or 'fit', got 'digits'"):
        capsnet.predict(model, file, preparation="digits")
