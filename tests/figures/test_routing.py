from capsnet.figures.routing import draw_routing
from capsnet.figures.style import to_png


def test_routing_names_the_mean(photos_seen, quick_results, texts):
    found = quick_results("routing", *photos_seen)
    figure = draw_routing(found, 6)
    assert f"mean {found['t_score']:.2g}" in texts(figure)
    assert len(figure.axes) == 3
    assert len(draw_routing({**found, "activations": []}, 6).axes) == 2


def test_routing_of_sharp_and_of_uniform_coupling_is_drawn(photos_seen, quick_results):
    found = quick_results("routing", *photos_seen)
    for score in (0.0, 1.0):
        count = len(found["t_scores"])
        extreme = {**found, "t_score": score, "t_scores": [score] * count, "coupling_stds": [0.0] * count}
        assert to_png(draw_routing(extreme, 6))
