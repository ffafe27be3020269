import pytest
import torch

from capsnet.errors import UserError
from capsnet.figures.manipulation import OFFSETS, _slugs, draw_manipulation, find_changes, manipulate
from capsnet.figures.style import to_png
from capsnet.figures.subject import reconstruct


def test_offsets_are_those_of_the_paper():
    expected = [-0.25, -0.2, -0.15, -0.1, -0.05, 0, 0.05, 0.1, 0.15, 0.2, 0.25]
    assert OFFSETS.tolist() == pytest.approx(expected)


def test_column_at_offset_0_is_the_plain_reconstruction(tiny_subject):
    seen = tiny_subject.sample.pick(torch.tensor([0]))
    label = int(seen.predicted[0])
    images = manipulate(tiny_subject.model, seen.capsules.poses[0, label], label, 10)
    plain = reconstruct(tiny_subject.model, seen.capsules)
    assert images.shape == (16, 11, 1, 28, 28)
    torch.testing.assert_close(images[:, 5], plain.expand(16, -1, -1, -1))


def test_a_row_moves_one_dimension_only(tiny_subject):
    pose = tiny_subject.sample.capsules.poses[0, 3]
    images = manipulate(tiny_subject.model, pose, 3, 10)
    moved = tiny_subject.sample.pick(torch.tensor([0])).capsules
    moved.poses[0, 3, 6] += OFFSETS[9]
    expected = reconstruct(tiny_subject.model, moved, torch.tensor([3]))
    torch.testing.assert_close(images[6, 9], expected[0])


def test_rows_and_columns_are_labelled(tiny_subject):
    axes = draw_manipulation(tiny_subject.model, tiny_subject.sample, 4).axes[0]
    assert len(axes.get_yticklabels()) == 16
    assert [text.get_text() for text in axes.get_xticklabels()][::5] == ["−0.25", "0", "+0.25"]


def test_a_class_without_images_is_refused(tiny_subject):
    seen = tiny_subject.sample
    others = seen.pick((seen.data.labels != 4).nonzero()[:, 0])
    with pytest.raises(UserError, match="no test image of class '4'"):
        draw_manipulation(tiny_subject.model, others, 4)


def test_colour_images_draw(colour_seen):
    model, seen = colour_seen(classes=2, shape=(3, 44, 20))
    assert to_png(draw_manipulation(model, seen, 1))


def test_file_names_of_classes_are_safe_and_unique():
    slugs = _slugs(["T-shirt/top", "t-shirt top", "..", "猫", ""])
    assert len({slug.lower() for slug in slugs}) == 5
    assert not any("/" in slug or " " in slug or not slug for slug in slugs)


def test_bars_are_numbered_and_a_decoder_that_ignores_its_input_has_none(tiny_subject, monkeypatch):
    axes = draw_manipulation(tiny_subject.model, tiny_subject.sample, 4).axes[1]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "25 %"]
    same = torch.rand(1, 1, 1, 28, 28).expand(16, 11, -1, -1, -1)
    monkeypatch.setattr("capsnet.figures.manipulation.manipulate", lambda *_: same)
    figure = draw_manipulation(tiny_subject.model, tiny_subject.sample, 4)
    assert max(bar.get_width() for bar in figure.axes[1].patches) == 0
    assert figure.texts[0].get_text().endswith("the decoder hardly uses them")


def test_changes_are_percent_of_white():
    images = torch.zeros(2, 11, 1, 2, 2)
    images[1, -1] = 0.5
    assert find_changes(images).tolist() == [0, 50]
