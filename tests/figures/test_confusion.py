import pytest

from capsnet.figures.confusion import draw_confusion
from capsnet.figures.style import to_png


def counts_in(figure):
    texts = [text for text in figure.axes[0].texts if text.get_gid() == "count"]
    return {(int(text.get_position()[1]), int(text.get_position()[0])): int(text.get_text()) for text in texts}


def test_confusion_shows_the_counts_of_the_evaluation(tiny_subject):
    confusion = tiny_subject.test.confusion
    shown = counts_in(draw_confusion(confusion, tiny_subject.class_names))
    expected = {(i, j): n for i, row in enumerate(confusion) for j, n in enumerate(row) if n}
    assert shown == expected


@pytest.mark.parametrize("classes", [1, 2, 35, 60])
def test_confusion_draws_any_number_of_classes(classes):
    confusion = [[5 if i == j else int((i + j) % 9 == 0) for j in range(classes)] for i in range(classes)]
    names = [f"a long name of class {k}" for k in range(classes)]
    assert to_png(draw_confusion(confusion, names))


def test_confusion_names_the_share_of_mistakes():
    figure = draw_confusion([[3, 1], [0, 4]], ["cat", "dog"])
    assert "  25.0 %" in [text.get_text() for text in figure.axes[0].texts]


def test_confusion_draws_a_class_without_test_images():
    figure = draw_confusion([[3, 0], [0, 0]], ["cat", "dog"])
    assert "  none" in [text.get_text() for text in figure.axes[0].texts]
