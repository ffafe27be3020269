import pytest
from matplotlib.figure import Figure

from capsnet.figures.lines import LINES, line_style, log_axis, number


@pytest.mark.parametrize(("low", "high"), [(0.2, 1.4), (0.003, 0.7), (1e-6, 1.0), (1.1, 1.9)])
def test_a_log_axis_says_what_it_is_and_has_labels_to_read_by(low, high):
    axes = Figure().add_subplot()
    axes.set_xscale("log")
    axes.set_xlabel("error")
    log_axis(axes.xaxis, low, high)
    assert axes.get_xlabel() == "error, log scale"
    ticks = axes.xaxis.get_major_locator().tick_values(low, high)
    assert 3 <= len(ticks) <= 7
    assert all(low * 0.99 <= tick <= high * 1.01 for tick in ticks)


def test_an_axis_without_a_label_is_named_in_the_title_and_only_once():
    axes = Figure().add_subplot()
    axes.set_title("Loss", loc="left")
    for _ in range(2):
        log_axis(axes.yaxis, 0.1, 1.0)
    assert axes.get_title(loc="left") == "Loss, log scale"


def test_lines_are_told_apart_without_colour():
    assert len({style.color for style in LINES}) == len({style.marker for style in LINES}) == len(LINES)
    assert line_style(len(LINES)) == LINES[0]


def test_numbers_have_no_exponent():
    assert [number(value) for value in (0.0, 0.00001, 0.5, 20.0)] == ["0", "0.00001", "0.5", "20"]
