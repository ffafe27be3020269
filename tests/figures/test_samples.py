from capsnet.figures.samples import draw_samples


def test_samples_draw_a_row_for_each_class(photos_seen, quick_results):
    model, data = photos_seen
    found = quick_results("samples", model, data)
    figure = draw_samples(found, model, data.class_names, seed=0)
    assert len(figure.axes[0].get_yticks()) == len(found["classes"])
