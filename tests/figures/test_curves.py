from itertools import pairwise

import pytest

from capsnet.errors import UserError
from capsnet.figures.curves import describe_learning, draw_curves
from capsnet.figures.style import to_png
from capsnet.losses import LOSSES
from capsnet.models.factory import model_loss


def rows(epochs, *, validated=True, decoded=True):
    made = []
    for step in range(1, 20 * epochs + 1):
        error = 0.0 if step % 7 == 0 else 0.9 * 0.95**step
        row = {"step": float(step), "epoch": step / 20, "loss": error + 0.01, "margin_loss": error + 0.005}
        row |= {"accuracy": 1 - error, "reconstruction_loss": (20.0 + 100 / step) if decoded else 0.0}
        if validated and step % 20 == 0:
            row |= {"validation_loss": 0.1, "validation_accuracy": 0.95 if step == 20 else 0.9}
        made.append(row)
    return made


@pytest.mark.parametrize("epochs", [1, 50])
def test_curves_draw_when_the_run_is_short_or_long(epochs):
    figure = draw_curves(rows(epochs))
    assert len(figure.axes) == 4
    assert to_png(figure).startswith(b"\x89PNG")


def test_curves_leave_out_reconstruction_without_decoder():
    assert len(draw_curves(rows(1, validated=False, decoded=False)).axes) == 2


def test_best_step_is_that_of_the_best_validation_row():
    figure = draw_curves(rows(3))
    (marked,) = [line for line in figure.axes[0].lines if line.get_gid() == "best"]
    assert list(marked.get_xdata()) == [1.0, 1.0]
    assert "selected checkpoint (step 20)" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_test_error_stands_beside_the_curve(tiny_subject):
    test = tiny_subject.test
    figure = draw_curves(tiny_subject.run.metrics(), test=test)
    assert figure.axes[1].lines[-1].get_ydata()[0] == pytest.approx(test.error_percent)


def test_curves_of_no_rows_are_refused():
    with pytest.raises(UserError, match="no rows"):
        draw_curves([])


def test_many_rows_are_shown_with_a_running_mean():
    axes = draw_curves(rows(50)).axes[0]
    thin, bold = axes.lines[:2]
    roughness = [sum(abs(b - a) for a, b in pairwise(line.get_ydata()[100:])) for line in (thin, bold)]
    assert roughness[1] < roughness[0] / 4


def test_loss_is_called_what_it_is():
    assert draw_curves(rows(3), loss="spread loss").axes[0].get_title(loc="left") == "Spread loss, log scale"
    assert model_loss("capsnet") == "margin"
    assert model_loss("self-routing-capsnet") == "likelihood"
    assert model_loss("em-capsnet") == "spread"
    assert model_loss("deepcaps", {"loss": "hard-margin"}) == "hard-margin"
    assert LOSSES.get("spread").words == "spread loss"


def learned(*losses, training=(0.3, 0.2, 0.1)):
    rows = zip(losses, training, strict=False)
    return [{"epoch": k + 1.0, "validation_loss": loss, "margin_loss": mine} for k, (loss, mine) in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"epoch": 1.0, "margin_loss": 0.1}], "Without held-out images they cannot show overfitting."),
        (learned(0.3), "One validation is too few"),
        (learned(0.3, 0.2), "2 validations are too few"),
        (learned(0.3, 0.2, 0.1), "lowest at the end: no sign of overfitting."),
        (
            learned(0.3, 0.2, 0.3),
            "lowest after epoch 2 of 3 and is 50 % higher at the end, while the training loss kept",
        ),
        (learned(0.3, 0.2, 0.3, training=(0.3, 0.2, 0.4)), "50 % higher at the end: the training loss rose as well."),
        (learned(0.3, 0.200, 0.202), "no clear sign of overfitting."),
    ],
)
def test_the_caption_says_what_the_losses_did(rows, words):
    assert words in describe_learning(rows)
