import shlex
from pathlib import Path

import pytest
import torch
from tests.cli.test_cli import call
from tests.data.sounds import write_tone

import capsnet
from capsnet.cli.parse import parse
from capsnet.cli.train import Train, flags_of
from capsnet.errors import UserError
from capsnet.figures.command import other_command
from capsnet.figures.coupling_by_class import measure_couplings
from capsnet.figures.other_runs import describe_curves, draw_score_curves, other_figures
from capsnet.figures.report import write_report
from capsnet.figures.sequence import draw_couplings
from capsnet.inference.find_samples import find_masks, find_sequences
from capsnet.inference.mask_evaluation import evaluate_masks
from capsnet.models import create_sequence_model, load_segmenter, load_sequence_model
from capsnet.runs import Run
from capsnet.runs.results import read_mask_result
from capsnet.training.other_inputs import default_config


def test_curves_are_the_rows_and_the_best_epoch_is_marked():
    rows = [
        {"epoch": 1.0, "loss": 0.5, "dice": 0.2, "validation_loss": 0.6, "validation_dice": 0.4},
        {"epoch": 2.0, "loss": 0.3, "dice": 0.6, "validation_loss": 0.7, "validation_dice": 0.3},
    ]
    figure = draw_score_curves(rows, "dice")
    training, validation, best = figure.axes[1].lines
    assert training.get_ydata().tolist() == [0.2, 0.6]
    assert validation.get_ydata().tolist() == [0.4, 0.3]
    assert list(best.get_xdata()) == [1.0, 1.0]
    with pytest.raises(UserError, match="no rows yet"):
        draw_score_curves([], "dice")


def test_data_of_a_run_that_were_moved_come_with_a_command_that_takes_them(masks_run, tmp_path):
    run = Run(masks_run.folder, masks_run.config.change(data=str(tmp_path / "gone")))
    command = f"capsnet evaluate {masks_run.folder} --data NEW_PATH"
    with pytest.raises(UserError, match=f"gone: no such folder or file; put it back, or test the run with {command}"):
        find_masks(load_segmenter(run.weights_path), run=run)


def test_figures_of_masks_are_written_once(capsys, masks_run):
    status, out, _ = call(capsys, "figures", masks_run.folder)
    assert status == 0
    assert [line.rsplit("/")[-1] for line in out.splitlines()] == ["curves.png", "masks.png"]
    status, out, err = call(capsys, "figures", masks_run.folder, "masks")
    assert (status, out, "kept: masks" in err) == (0, "", True)
    status, _, err = call(capsys, "figures", masks_run.folder, "confusion")
    assert (status, "unknown figure 'confusion'" in err) == (2, True)


def test_figures_of_recordings_have_couplings(capsys, sounds_run):
    status, out, _ = call(capsys, "figures", sounds_run.folder)
    assert status == 0
    assert [line.rsplit("/")[-1] for line in out.splitlines()] == ["curves.png", "couplings.png", "confusion.png"]


def test_captions_hold_the_numbers_of_what_is_drawn(masks_run):
    caption = other_figures(masks_run, "own-masks")["masks"].describe()
    model = load_segmenter(masks_run.weights_path)
    dice = evaluate_masks(model, find_masks(model, run=masks_run).data, name="", split="test").files
    shares = [100 * row["dice"] for row in dice]
    assert f"from {min(shares):.1f} to {max(shares):.1f} %" in caption
    assert describe_curves([{"epoch": 1.0, "loss": 0.5, "dice": 0.25}], "dice").startswith(
        "From epoch 1 to 1 the training loss went from 0.500 to 0.500, the Dice coefficient from 25.0 to 25.0 %."
    )


def test_images_of_lowest_dice_are_drawn_where_not_all_are(masks_run, monkeypatch):
    monkeypatch.setattr("capsnet.figures.other_runs._MASKS", 1)
    model = load_segmenter(masks_run.weights_path)
    files = evaluate_masks(model, find_masks(model, run=masks_run).data, name="", split="test").files
    lowest = 100 * min(row["dice"] for row in files)
    worst = other_figures(masks_run, "own-masks")["worst"]
    assert f"Their Dice is from {lowest:.1f} to {lowest:.1f} %" in worst.describe()


def test_more_than_four_classes_are_drawn_in_several_figures(tmp_path):
    for number in range(5):
        for copy in range(3):
            write_tone(tmp_path / "data" / f"{number}" / f"{copy}.wav", 300 * (number + 1), samples=1000 + copy)
    run = capsnet.train(data=tmp_path / "data", out=tmp_path / "run", steps=1)
    assert list(other_figures(run, "own-sequences")) == ["curves", "couplings", "couplings-2", "confusion"]


def test_couplings_of_a_class_are_those_of_its_windows_without_padding(sounds_run):
    model = load_sequence_model(sounds_run.weights_path)
    data = find_sequences(model, run=sounds_run).data
    low = data.labels.tolist().index(1)
    steps = int(data.lengths[low])
    own = model.windows.coupling(model(data.sequences[low : low + 1, :, :steps]).coupling)[0, :, 1].detach()
    measured = measure_couplings(model, data)[1]
    assert (measured.class_name, measured.n) == ("low", 1)
    assert measured.mean == pytest.approx(float(own.mean()))
    assert measured.largest == pytest.approx(float(own.max()))
    assert measured.place == pytest.approx(float(model.windows.middles(len(own))[own.argmax()]) / steps)


def test_series_are_drawn_as_lines():
    model = create_sequence_model("sequence-capsnet", in_channels=2, num_classes=3)
    figure = draw_couplings(model, [torch.randn(2, 9)], ["true: 0"], None, class_lengths=True)
    assert [len(axes.lines) for axes in figure.axes[:2]] == [2, 3]
    assert figure.axes[1].get_xlabel() == "step"


def test_the_report_of_masks_holds_results_figures_and_the_command(capsys, masks_run):
    status, out, _ = call(capsys, "report", masks_run.folder)
    page, test = Path(out.strip()).read_text(), read_mask_result(masks_run.folder)["test"]
    assert status == 0
    assert f"{100 * test['dice']:.2f} %<span>test Dice" in page
    assert f"<td>right</td><td>{100 * test['classes'][1]['share']:.2f} %" in page
    assert page.count("<img") == 2
    assert f"capsnet train unet-small --data {masks_run.config.data.name} --batch-size 4" in page
    status, _, err = call(capsys, "report", masks_run.folder)
    assert (status, "--overwrite replaces it" in err) == (2, True)


def test_the_report_of_recordings_holds_couplings_and_confusion(sounds_run):
    page = write_report(sounds_run, overwrite=True).read_text()
    for words in ("test error", "Coupling by class", "test recordings", "Which classes are confused", "<td>low</td>"):
        assert words in page
    assert page.count("<img") == 3


def test_the_command_of_a_report_makes_the_same_run(masks_run):
    words = shlex.split(other_command(masks_run.config, "own-masks"))
    options = parse(Train, ["--model", *words[2:]], flags_of(Train, default_config("own-masks")))
    assert options.config().change(recipe="own-masks", precision="fp32") == masks_run.config
