from dataclasses import replace

from capsnet.figures.errors import draw_errors
from capsnet.figures.style import to_png


def test_errors_draw_the_surest_and_the_closest(photos_seen, quick_results, texts):
    model, data = photos_seen
    found = quick_results("errors", model, data)
    assert not found["mistakes"]
    one = draw_errors(found, model, data)
    shifted = replace(data, labels=(data.labels + 1) % 3)
    other = draw_errors(quick_results("errors", model, shifted), model, shifted)
    # image, two reconstructions and the bars of each
    assert len(one.axes) == len(other.axes) == 4 * 6
    assert any("→" in text for text in texts(other))
    assert not any("→" in text for text in texts(one))
    assert to_png(other)


def test_errors_without_decoder_draw_no_reconstructions(photos_seen, quick_results):
    model, data = photos_seen
    model.decoder = None
    assert len(draw_errors(quick_results("errors", model, data), model, data).axes) == 2 * 6


def test_errors_of_one_class_leave_nothing_to_draw_but_the_title(colour_seen, quick_results):
    model, seen = colour_seen(classes=1, shape=(1, 20, 20))
    figure = draw_errors(quick_results("errors", model, seen.data), model, seen.data)
    assert not figure.axes


def test_errors_name_the_files_of_images(photos_seen, quick_results, texts):
    model, data = photos_seen
    named = replace(data, files=tuple(f"class/photo{k}.png" for k in range(len(data))))
    drawn = texts(draw_errors(quick_results("errors", model, named), model, named))
    assert sum(text.startswith("photo") for text in drawn) == 6
    assert not any(
        text.startswith("photo") for text in texts(draw_errors(quick_results("errors", model, data), model, data))
    )
