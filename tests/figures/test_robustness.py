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
