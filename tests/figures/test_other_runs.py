import pytest
from tests.cli.test_cli import call

from capsnet.errors import UserError
from capsnet.figures.other_runs import draw_score_curves


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
    assert [line.rsplit("/")[-1] for line in out.splitlines()] == ["curves.png", "couplings.png"]
