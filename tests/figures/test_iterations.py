from capsnet.figures.iterations import draw_iterations
from capsnet.figures.style import to_png


def test_iterations_have_a_point_each(photos_seen, quick_results, texts):
    found = quick_results("iterations", *photos_seen)
    figure = draw_iterations(found, 6)
    assert list(figure.axes[0].lines[0].get_xdata()) == [step["iterations"] for step in found["steps"]]
    assert "random coupling" in texts(figure)
    assert to_png(draw_iterations({**found, "random": None}, 6))
