"""Each analysis's figure: what it shows of the numbers, and that it takes any of them."""

import pytest
import torch

from capsnet.analysis import analyse
from capsnet.analysis.capsules import measure_capsules
from capsnet.analysis.watch import to_unit
from capsnet.data import Dataset
from capsnet.figures.adversarial import draw_adversarial
from capsnet.figures.capsules import draw_capsules
from capsnet.figures.detection import draw_detection
from capsnet.figures.errors import draw_errors
from capsnet.figures.iterations import draw_iterations
from capsnet.figures.robustness import draw_robustness
from capsnet.figures.routing import draw_routing
from capsnet.figures.samples import draw_samples
from capsnet.figures.style import to_png


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title, axes.xaxis.label)]


def results(name, model, data):
    return analyse(model, Dataset("photos", data, data), name, quick=True)["results"]


@pytest.fixture
def photos_seen(colour_seen):
    """An untrained model and wide colour images, all classified correctly."""
    model, seen = colour_seen(classes=3, shape=(3, 30, 44))
    data = seen.data.__class__(seen.data.images, seen.predicted, seen.data.class_names)
    return model, data


def test_routing_names_the_mean(photos_seen):
    found = results("routing", *photos_seen)
    figure = draw_routing(found, 6)
    assert f"mean {found['t_score']:.2g}" in texts(figure)
    assert len(figure.axes) == 3
    assert len(draw_routing({**found, "activations": []}, 6).axes) == 2
    assert to_png(figure)


def test_routing_of_sharp_and_of_uniform_coupling_is_drawn(photos_seen):
    found = results("routing", *photos_seen)
    for score in (0.0, 1.0):
        count = len(found["t_scores"])
        extreme = {**found, "t_score": score, "t_scores": [score] * count, "coupling_stds": [0.0] * count}
        assert to_png(draw_routing(extreme, 6))


def test_iterations_have_a_point_each(photos_seen):
    found = results("iterations", *photos_seen)
    figure = draw_iterations(found, 6)
    assert list(figure.axes[0].lines[0].get_xdata()) == [step["iterations"] for step in found["steps"]]
    assert "random shares" in texts(figure)
    assert to_png(draw_iterations({**found, "random": None}, 6))


def test_capsules_count_the_dead(photos_seen):
    model, data = photos_seen
    found = measure_capsules(model, data, threshold=2.0)
    figure = draw_capsules(found, len(data))
    assert f"{found['children']:,} dead" in texts(figure)
    assert len(draw_capsules({**found, "children": 0, "largest": [], "means": []}, len(data)).axes) == 1
    assert to_png(figure)


def test_robustness_draws_curves_and_changed_images(photos_seen):
    model, data = photos_seen
    found = results("robustness", model, data)
    figure = draw_robustness(found, to_unit(data)[:1], seed=0, shift=0)
    assert len(figure.axes) == 4 + sum(len(curve["values"]) for curve in found["curves"])
    assert list(figure.axes[0].lines[0].get_ydata()) == [
        100 * share["share"] for share in found["curves"][0]["accuracy"]
    ]
    assert to_png(figure)


def test_adversarial_names_what_fails(photos_seen):
    model, data = photos_seen
    found = results("adversarial", model, data)
    found["checks"][0]["passed"] = False
    figure = draw_adversarial(found, model, data)
    assert "✗" in texts(figure)
    assert texts(figure).count("✓") <= len(found["checks"]) - 1
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert to_png(figure)


def test_detection_has_a_row_for_each_kind(photos_seen):
    model, data = photos_seen
    found = results("detection", model, data)
    figure = draw_detection(found, model, data, epsilon=0.3, seed=0)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 1 + len(found["suspects"])
    assert labels[1] == f"inverted\nn = {len(data)}"
    assert to_png(figure)


def test_samples_draw_a_row_for_each_class(photos_seen):
    model, data = photos_seen
    found = results("samples", model, data)
    figure = draw_samples(found, model, data.class_names, seed=0)
    assert len(figure.axes[0].get_yticks()) == len(found["classes"])
    assert to_png(figure)


def test_errors_draw_the_surest_and_the_closest(photos_seen, colour_seen):
    model, data = photos_seen
    found = results("errors", model, data)
    assert not found["mistakes"]
    one = draw_errors(found, model, data)
    shifted = data.__class__(data.images, (data.labels + 1) % 3, data.class_names)
    other = draw_errors(results("errors", model, shifted), model, shifted)
    # image, two reconstructions and the bars of each
    assert len(one.axes) == len(other.axes) == 4 * 6
    assert any("→" in text for text in texts(other))
    assert not any("→" in text for text in texts(one))
    assert to_png(other)


def test_errors_without_decoder_draw_no_reconstructions(photos_seen):
    model, data = photos_seen
    model.decoder = None
    assert len(draw_errors(results("errors", model, data), model, data).axes) == 2 * 6


def test_errors_of_one_class_leave_nothing_to_draw_but_the_title(colour_seen):
    model, seen = colour_seen(classes=1, shape=(1, 20, 20))
    figure = draw_errors(results("errors", model, seen.data), model, seen.data)
    assert not figure.axes
    assert torch.equal(seen.predicted, seen.data.labels)
    assert to_png(figure)
