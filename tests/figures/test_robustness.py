from capsnet.analysis.watch import view
from capsnet.figures.robustness import draw_robustness


def test_robustness_draws_curves_and_changed_images(photos_seen, quick_results):
    model, data = photos_seen
    found = quick_results("robustness", model, data)
    figure = draw_robustness(found, view(model, data)[:1], seed=0, shift=0)
    assert len(figure.axes) == 4 + sum(len(curve["values"]) for curve in found["curves"])
    assert list(figure.axes[0].lines[0].get_ydata()) == [
        100 * share["share"] for share in found["curves"][0]["accuracy"]
    ]


def test_nothing_is_said_of_a_training_that_is_unknown(photos_seen, quick_results):
    model, data = photos_seen
    found, image = quick_results("robustness", model, data), view(model, data)[:1]
    texts = {shift: _texts(draw_robustness(found, image, seed=0, shift=shift)) for shift in (2, 0, None)}
    assert "Training images were shifted by up to 2 pixels." in texts[2]
    assert "Training images were not shifted." in texts[0]
    assert "Training" not in texts[None]


def _texts(figure):
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())
