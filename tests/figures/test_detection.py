from capsnet.figures.detection import draw_detection


def test_detection_has_a_row_for_each_kind(photos_seen, quick_results):
    model, data = photos_seen
    found = quick_results("detection", model, data)
    figure = draw_detection(found, model, data, epsilon=0.3, seed=0)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 1 + len(found["suspects"])
    assert labels[1] == f"inverted\nn = {len(data)}"
