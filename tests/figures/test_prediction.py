import pytest
import torch

from capsnet.figures.prediction import draw_prediction
from capsnet.figures.style import BLUE, to_png


def draw(count=1, classes=10, reconstructed=True, shape=(1, 28, 28)):
    inputs = torch.randint(0, 256, (count, *shape), dtype=torch.uint8)
    lengths = torch.linspace(0.1, 0.8, classes).expand(count, -1)
    drawn = torch.rand(count, *shape) if reconstructed else None
    names = [f"traffic sign number {k}" if classes > 10 else str(k) for k in range(classes)]
    return draw_prediction(inputs, lengths, drawn, names, [f"folder/$im_{k}$.png" for k in range(count)])


def test_bars_are_the_lengths_and_the_longest_is_marked():
    bars = draw().axes[-1].patches
    assert [bar.get_height() for bar in bars] == pytest.approx(torch.linspace(0.1, 0.8, 10).tolist())
    title = draw().axes[-1].get_title(loc="left")
    assert title == "9, length 0.80"
    assert draw().axes[-1].get_xticklabels()[9].get_color() == BLUE


@pytest.mark.parametrize(("count", "parts"), [(1, True), (3, True), (3, False)])
def test_a_row_for_each_image(count, parts):
    figure = draw(count, reconstructed=parts)
    assert len(figure.axes) == count * (3 if parts else 2)


@pytest.mark.parametrize("classes", [1, 35, 120])
def test_any_number_of_classes_draws(classes):
    assert to_png(draw(2, classes, reconstructed=False, shape=(3, 90, 30)))


def test_more_than_30_images_are_cut():
    figure = draw(31, 2)
    assert len(figure.axes) == 90
    assert "first 30 of 31" in " ".join(text.get_text() for text in figure.texts)


def test_every_length_stands_above_its_bar_and_within_the_axes():
    lengths = torch.tensor([[0.96, 1.4]])
    axes = draw_prediction(torch.zeros(1, 1, 28, 28, dtype=torch.uint8), lengths, None, ["0", "1"], ["a.png"]).axes[-1]
    long, longer = axes.texts[:2]
    assert (long.get_text(), longer.get_text()) == ("0.96", "1.40")
    assert (long.get_va(), longer.get_va()) == ("bottom", "bottom")
    assert 0.96 < long.get_position()[1] < longer.get_position()[1] < axes.get_ylim()[1] - 0.1


def test_shares_are_called_shares():
    inputs, lengths = torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.tensor([[0.7, 0.3]])
    figure = draw_prediction(inputs, lengths, None, ["cat", "dog"], ["a.png"], word="share")
    assert figure.axes[-1].get_title(loc="left") == "cat, share 0.70"
