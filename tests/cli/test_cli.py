"""The verbs as a user types them; in this process, so that they are quick."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from PIL import Image, ImageDraw

from capsnet.cli import VERBS, main
from capsnet.cli.reproduce import _read_changes
from capsnet.runs import Run

TINY = "--model capsnet-tiny --epochs 1 --batch-size 16 --limit 64"


def call(capsys, line, *more):
    """Run a line; returns status, standard output and standard error."""
    try:
        status = main([*line.split(), *map(str, more)])
    except SystemExit as stop:
        status = int(stop.code or 0)
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize("verb", VERBS)
def test_help_holds_two_examples(capsys, verb):
    status, out, _ = call(capsys, f"{verb} --help")
    assert status == 0
    assert out.count(f"  capsnet {verb}") >= 2


def test_help_and_version(capsys):
    assert all(verb in call(capsys, "--help")[1] for verb in VERBS)
    assert call(capsys, "--version")[1].startswith("capsnet 0.")
    assert call(capsys, "")[:2] == call(capsys, "--help")[:2]
    assert call(capsys, "help list") == call(capsys, "list --help")


def test_train_json_is_one_object_with_the_names_of_the_contract(capsys, tmp_path):
    status, out, err = call(capsys, f"train quickstart {TINY} --json --out", tmp_path / "run")
    assert status == 0
    values = json.loads(out)
    assert list(values) == ["run", "epochs", "validation", "test", "images_per_second", "seconds"]
    assert values["epochs"] == 1
    assert values["test"]["n"] == 359
    assert "loss" in err


def test_train_prints_error_interval_and_what_to_do_next(capsys, tmp_path):
    _, out, _ = call(capsys, f"train {TINY} --steps 2 --out", tmp_path / "run")
    assert "test error" in out
    assert "95 % interval" in out
    assert "reported for the recipe" not in out  # the network is not the recipe's
    assert f"capsnet report {tmp_path / 'run'}" in out


def test_a_short_run_is_not_put_beside_the_reported_number_without_a_word(capsys, tmp_path):
    _, out, _ = call(capsys, "train --steps 1 --batch-size 4 --limit 8 --test-limit 4 --out", tmp_path / "run")
    after = out.partition("reported for the recipe quickstart")[2]
    assert "differs from the recipe quickstart:" in after
    assert re.search(r"steps +1 \(there: None\)", after)


def test_model_options_reach_the_model(capsys, tmp_path):
    line = f"train {TINY} --steps 1 --option routing_bias=true primary_scale=0.03125 --out"
    assert call(capsys, line, tmp_path / "run")[0] == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"]["options"] == {"routing_bias": True, "primary_scale": 0.03125}


def test_evaluate(capsys, tiny_run):
    status, out, _ = call(capsys, "evaluate --json", tiny_run.folder)
    values = json.loads(out)
    assert status == 0
    assert values["data"] == "digits"
    assert values["accuracy"] == tiny_run.evaluation()["test"]["accuracy"]
    status, out, _ = call(capsys, "evaluate --split train", tiny_run.weights_path)
    assert status == 0
    assert "errors per class" in out


def test_networks_are_evaluated_together(capsys, tiny_run):
    alone = json.loads(call(capsys, "evaluate --json", tiny_run.folder)[1])
    together = json.loads(call(capsys, "evaluate --json", tiny_run.folder, tiny_run.weights_path)[1])
    assert together.pop("reconstruction_mse") is None
    del alone["reconstruction_mse"]
    assert together["margin_loss"] == pytest.approx(alone.pop("margin_loss"), rel=1e-5)
    del together["margin_loss"]
    assert together == alone


@pytest.fixture
def drawings(tmp_path):
    for name, paper, ink in (("dark.png", 255, 0), ("light.png", 0, 255)):
        image = Image.new("L", (300, 200), paper)
        ImageDraw.Draw(image).line([(150, 40), (150, 160)], fill=ink, width=16)
        image.save(tmp_path / name)
    return [tmp_path / "dark.png", tmp_path / "light.png"]


def test_predict_gives_class_length_and_all_lengths(capsys, tiny_run, drawings):
    status, out, _ = call(capsys, "predict --json", tiny_run.folder, *drawings)
    assert status == 0
    dark, light = json.loads(out)["predictions"]
    assert list(dark) == ["file", "label", "class_name", "length", "lengths"]
    assert len(dark["lengths"]) == 10
    assert dark["length"] == max(dark["lengths"]) == dark["lengths"][dark["label"]]
    assert dark["class_name"] == str(dark["label"])
    assert dark["lengths"] == light["lengths"]


def test_predict_for_people_and_as_a_figure(capsys, tiny_run, drawings, tmp_path):
    status, out, _ = call(capsys, "predict", tiny_run.folder, drawings[0], "--figure", tmp_path / "seen.png")
    assert status == 0
    assert "length" in out
    with Image.open(tmp_path / "seen.png") as picture:
        assert picture.width > 300
    status, _, err = call(capsys, "predict", tiny_run.folder, drawings[0], "--figure", tmp_path / "seen.png")
    assert status == 2
    assert "exists" in err


def test_photos_train_evaluate_and_predict_without_a_line_of_code(capsys, photos, tmp_path):
    run = tmp_path / "run"
    line = "train --model capsnet-tiny --image-size 20 --epochs 12 --batch-size 6 --lr 0.003 --json"
    status, out, _ = call(capsys, line, "--data", photos, "--out", run)
    assert status == 0
    assert json.loads(out)["test"]["accuracy"] >= 8 / 9
    status, out, _ = call(capsys, "evaluate --json", run, "--data", photos)
    assert json.loads(out)["n"] == 9
    _, out, _ = call(capsys, "predict --json", run, photos / "blue sky" / "0.png", photos / "rose" / "1.jpg")
    assert [entry["class_name"] for entry in json.loads(out)["predictions"]] == ["blue sky", "rose"]


def test_a_folder_of_images_has_a_recipe_of_its_own(capsys, photos, tmp_path):
    line = "train --model capsnet-tiny --steps 1 --image-size 20 --lr 0.01 --out"
    assert call(capsys, line, tmp_path / "run", "--data", photos)[0] == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["run"]["recipe"] == "own-images"
    length = config["optimizer"]
    assert (length["epochs"], length["steps"]) == (None, 1)
    assert (length["schedule"], length["lr"]) == ("one-cycle", 0.01)


def test_list_show_and_data(capsys, tiny_run, tmp_path):
    assert "sabour2017-mnist-authors" in call(capsys, "list recipes")[1]
    assert "routings:" in call(capsys, "list")[1]
    assert "8,215,568" in call(capsys, "show capsnet")[1]
    assert "routing              em, 3 iterations" in call(capsys, "show em-capsnet-tiny")[1]
    assert "0.25 ± 0.005" in call(capsys, "show sabour2017-mnist")[1]
    recipe = call(capsys, "show hahn2019-svhn")[1]
    assert "code      coder3000/SR-CapsNet@7622d38" in recipe
    assert "weight_decay         0.0001         config.py:33" in recipe
    # neither a default nor stated by the source
    assert "\n  shift_fill " not in recipe
    assert "paper-or-code" in call(capsys, "list studies")[1]
    assert "reported: 0.25 ± 0.005 % (n = 3)" in call(capsys, "show sabour2017-table1")[1]
    both = call(capsys, "show sabour2017-cifar10")[1]
    assert "capsnet train sabour2017-cifar10" in both
    assert "networks together, by summed lengths  reported: 10.60 %" in both
    assert "Procedure" not in call(capsys, "show digits")[1]
    assert "agree" in call(capsys, "show dynamic")[1]
    shown = call(capsys, "show", tiny_run.folder)[1]
    assert "best weights: test error" in shown
    assert "routing: dynamic, iterations: 3" in shown
    assert "\n  weight_decay " not in shown
    assert "\n  weight_decay         0\n" in call(capsys, "show", tiny_run.folder, "--options")[1]
    compared = call(capsys, "show", tiny_run.folder, "--against", tiny_run.folder)[1]
    assert "exact test p = 1: no significant difference" in " ".join(compared.split())
    status, out, _ = call(capsys, "data digits --figure", tmp_path / "digits.png")
    assert status == 0
    assert "1,438 training and 359 test images" in out
    assert "█" in out
    with Image.open(tmp_path / "digits.png") as picture:
        assert picture.width > 300
    assert sum(json.loads(call(capsys, "data digits --json")[1])["test"]) == 359


@pytest.mark.parametrize(
    "name",
    [
        *("hinton2018-smallnorb", "sabour2017-affnist", "em-capsnet", "segcaps", "sequence-capsnet"),
        *("cifar10-equal-time", "smallnorb-azimuth", "dynamic", "capsnet-mnist"),
    ],
)
def test_show_fits_a_terminal(name, capsys):
    lines = call(capsys, f"show {name}")[1].splitlines()
    assert max(map(len, lines)) <= 80


def test_options_are_those_of_a_run(capsys):
    status, _, err = call(capsys, "show capsnet --options")
    assert (status, err) == (2, "capsnet: --options needs the folder of a run, got capsnet\n")


def test_option_with_a_short_value_and_a_long_source_takes_two_lines(capsys):
    shown = call(capsys, "show hinton2018-smallnorb")[1]
    assert "code      [2] google-research/google-research@ccc94ce\n" in shown
    assert "\n  weight_decay         2e-07          [2] capsule_em/utils.py:72\n" in shown
    assert "\n  crop                 32\n                       [1] capsule_em/norb/norb_record.py:59-60, 66\n" in shown


def test_figures_and_report(capsys, tiny_run, tmp_path, monkeypatch):
    # pixels take most of the time, and are made beside `draw_figures`
    monkeypatch.setattr("capsnet.figures.draw.to_png", lambda figure: b"pixels")
    run = shutil.copytree(tiny_run.folder, tmp_path / "run")
    assert call(capsys, "figures", run)[0] == 0
    for name in ("curves", "reconstructions", "manipulate-3", "confusion", "coupling", "structure"):
        assert (run / "figures" / f"{name}.png").is_file()
    status, out, _ = call(capsys, "report", run)
    assert status == 0
    assert str(run / "report.html") in out
    status, _, err = call(capsys, "report", run)
    assert status == 2
    assert "exists" in err


def test_analyse_writes_numbers_and_figures_that_the_report_shows(capsys, tiny_run, tmp_path):
    left = shutil.ignore_patterns("last", "figures", "analysis", "report.html")
    run = shutil.copytree(tiny_run.folder, tmp_path / "run", ignore=left)
    status, out, err = call(capsys, "analyse --only routing errors --limit 25 --json", run)
    assert status == 0
    values = json.loads(out)
    assert list(values) == ["run", "analyses", "left_out"]
    assert values["analyses"]["routing"]["n"] == 25
    assert json.loads((run / "analysis" / "errors.json").read_text()) == values["analyses"]["errors"]
    assert (run / "figures" / "routing.png").is_file()
    assert "analysing 1 of 2: routing" in err
    status, out, _ = call(capsys, "analyse --only routing --overwrite --limit 20", run)
    assert status == 0
    assert "Mean T-score" in out
    assert str(run / "figures" / "routing.png") in out


BAD = {
    "train nosuch": "unknown recipe 'nosuch'",
    "train sabour2017-mnits": "did you mean 'sabour2017-mnist'",
    "train --model capsnett": "did you mean 'capsnet'",
    "train --routing dinamic": "did you mean 'dynamic'",
    "train --data minst": "did you mean 'mnist'",
    "train --epochs -1": "--epochs must be at least 1 or None, got -1",
    "train --epochs x": "--epochs",
    "train --epoch 3": "did you mean --epochs",
    "train --batch-size -1": "--batch-size must be at least 1",
    "train --precision fp8": "fp8",
    "train --validation 5000": "must leave images to train on",
    "train --option routing_bias": "--option must be KEY=VALUE",
    "train --option routing_bais=true": "did you mean 'routing_bias'",
    "train --resume /nothing/here": "no such run folder",
    "train --image-size 8 --crop 9 --data PHOTOS": "--crop must be 0 to 8 for these images, got 9",
    "train --contrast 1.2": "--contrast must be at most 1",
    "evaluate RUN --pairs-per-digit 3": "is for pairs",
    "train --model capsnet --image-size 8 --data PHOTOS": "at least 17x17",
    "trian": "did you mean 'train'",
    "--verson": "did you mean '--version'",
    "help trian": "did you mean 'train'",
    "completion tcsh": "tcsh",
    "doctor --jsn": "did you mean --json",
    "evaluate /nothing": "no such run folder or weights file",
    "evaluate": "a run folder or a weights file",
    "predict RUN": "no image files given",
    "predict RUN /nothing.png": "no such file",
    "predict RUN RUN": "is a folder",
    "evaluate RUN --data PHOTOS": "unknown class 'blue sky'",
    "list model": "did you mean 'models'",
    "show capsnett": "did you mean 'capsnet'",
    "data PHOTOS/rose": "holds no class folders",
    "reproduce sabour2017-tabel1": "did you mean 'sabour2017-table1'",
    "reproduce paper-or-code --budget ful": "ful",
    "reproduce paper-or-code --seeds 0": "--seeds must be at least 1, got 0",
    "reproduce paper-or-code --jobs 0": "--jobs must be at least 1, got 0",
    "reproduce paper-or-code --change limt=5": "did you mean 'limit'",
    "show quickstart --epochs --options": "--epochs and --options exclude each other",
    "train sabour2017-mnist --resume RUN": "the recipe cannot change on --resume",
    "train --resume RUN --option leaky=true": "--option cannot change on --resume",
    "reproduce paper-or-code --change limit": "--change must be KEY=VALUE",
    "reproduce paper-or-code --data-dir /nothing": "/nothing",
    "figures PHOTOS": "is not a run folder",
    "analyse PHOTOS": "is not a run folder",
    "analyse RUN --only routin": "did you mean 'routing'",
    "analyse RUN --limit -1": "--limit must be at least 0, got -1",
    "report /nothing": "no such run folder",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_input_gets_status_2_and_one_line(capsys, line, tiny_run, photos, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = [word.replace("RUN", str(tiny_run.folder)).replace("PHOTOS", str(photos)) for word in line.split()]
    try:
        status = main(words)
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr()
    assert status == 2
    assert BAD[line].lower() in said.err.lower()
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not list(tmp_path.iterdir())


def test_cuda_without_one_is_refused(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    status, _, err = call(capsys, "train --device cuda")
    assert status == 2
    assert "--device must be cpu or auto" in err


def test_start_from_brings_the_network_and_its_weights(capsys, tiny_run, tmp_path):
    words = "train --steps 1 --limit 64 --test-limit 20 --device cpu --out"
    status, _, err = call(capsys, words, tmp_path / "run", "--start-from", tiny_run.folder)
    assert status == 0
    assert "tensors are carried over from" in err
    config = Run.open(tmp_path / "run").config
    assert (config.model.name, config.model.start_from) == (tiny_run.config.model.name, str(tiny_run.folder.absolute()))


def test_resume_refuses_what_would_make_it_another_run(capsys, tiny_run):
    status, _, err = call(capsys, "train --lr 0.5 --resume", tiny_run.folder)
    assert status == 2
    assert "--lr cannot change on --resume" in err


def test_interruption_gives_130_and_says_how_to_go_on(capsys, tmp_path):
    script = (
        "import os, signal, sys; from capsnet.training.loop import Job; step = Job._step\n"
        "def interrupted(job, *args):\n"
        "    step(job, *args)\n"
        "    if job.state.step == 2: os.kill(os.getpid(), signal.SIGINT)\n"
        "Job._step = interrupted\n"
        "from capsnet.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    line = [sys.executable, "-c", script, "train", *TINY.split(), "--out", str(tmp_path / "run")]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert "stopped at step 2; go on with: capsnet train --resume" in done.stderr
    capsys.readouterr()
    assert main(["train", "--json", "--resume", str(tmp_path / "run")]) == 0
    assert "was trained to its end" not in capsys.readouterr().err
    # a second time, there is nothing to train
    assert main(["train", "--json", "--resume", str(tmp_path / "run")]) == 0
    assert "was trained to its end" in capsys.readouterr().err


def test_fault_of_ours_gives_1(capsys, monkeypatch):
    monkeypatch.setattr("capsnet.cli.list.parse", lambda *args: 1 / 0)
    status, _, err = call(capsys, "list")
    assert status == 1
    assert "this is a bug in capsnet" in err


def test_changes_of_a_study_may_be_none_or_zero_for_off():
    assert _read_changes(["crop=0", "limit=None", "steps=0", "shift=0", "lr=0.5"]) == {
        "crop": None,
        "limit": None,
        "steps": 0,
        "shift": 0,
        "lr": 0.5,
    }
