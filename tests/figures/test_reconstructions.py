from dataclasses import replace

import numpy as np
import pytest
import torch

from capsnet.errors import UserError
from capsnet.figures.reconstructions import draw_reconstructions
from capsnet.figures.style import ORANGE, to_png
from capsnet.figures.subject import reconstruct
from capsnet.figures.tiles import to_tiles
from capsnet.models import create_model


def test_an_image_stands_above_its_reconstruction(tiny_subject):
    seen = tiny_subject.sample
    sheet = np.asarray(draw_reconstructions(tiny_subject.model, seen).axes[0].images[0].get_array())
    first = seen.pick((seen.data.labels == 0).nonzero()[:1, 0])
    drawn = reconstruct(tiny_subject.model, first.capsules)
    assert (sheet[:28, :28] == to_tiles(first.data.images)[0]).all()
    assert (sheet[30:58, :28] == to_tiles(drawn)[0]).all()


def test_wrong_predictions_are_framed(tiny_subject):
    seen = tiny_subject.sample
    wrong = replace(seen, predicted=(seen.data.labels + 1) % 10)
    figure = draw_reconstructions(tiny_subject.model, wrong)
    labels = [text for axes in figure.axes for text in axes.texts]
    assert len(labels) == 30
    assert {text.get_color() for text in labels} == {ORANGE}
    assert labels[0].get_text() == "0 → 1"


def test_no_mistakes_leave_no_row_of_mistakes(tiny_subject):
    seen = tiny_subject.sample
    right = replace(seen, predicted=seen.data.labels)
    assert len(draw_reconstructions(tiny_subject.model, right).axes) == 2


def test_a_model_without_decoder_is_refused(tiny_subject):
    model = create_model("capsnet-tiny", decoder=False)
    with pytest.raises(UserError, match="no decoder"):
        draw_reconstructions(model, tiny_subject.sample)


def test_stereo_pairs_keep_their_shape(colour_seen):
    axes = draw_reconstructions(*colour_seen(classes=3, shape=(2, 20, 20))).axes[0]
    height, width = axes.images[0].get_array().shape[:2]
    box = axes.get_window_extent()
    assert box.width / box.height == pytest.approx(width / height, rel=0.03)


def test_colour_images_of_many_classes_draw(colour_seen):
    model, seen = colour_seen(classes=12, shape=(3, 20, 36))
    assert to_png(draw_reconstructions(model, seen))
    assert torch.equal(seen.predicted, seen.capsules.activations.argmax(dim=1))
