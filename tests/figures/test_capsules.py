from capsnet.analysis.capsules import measure_capsules
from capsnet.figures.capsules import draw_capsules


def test_capsules_count_the_dead(photos_seen, texts):
    model, data = photos_seen
    found = measure_capsules(model, data, threshold=2.0)
    figure = draw_capsules(found, len(data))
    assert f"{found['children']:,} dead" in texts(figure)
    assert len(draw_capsules({**found, "children": 0, "largest": [], "means": []}, len(data)).axes) == 1
