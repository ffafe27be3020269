import pytest
import torch

from capsnet.data import ImageData
from capsnet.data.pairs import Pairing
from capsnet.inference.evaluate import predict_batches
from capsnet.inference.examples import draw_examples
from capsnet.models import create_model

DATA = ImageData(
    torch.arange(12 * 28 * 28).remainder(256).to(torch.uint8).view(12, 1, 28, 28), torch.arange(12) % 2, ("a", "b")
)


def test_images_stand_above_what_their_longest_capsules_decode_to():
    model = create_model("capsnet-tiny", num_classes=2).train()
    picture = draw_examples(model, DATA, None, count=3)
    assert picture.shape == (2 * 28, 3 * 28, 1)
    assert (picture[:28, 28:56, 0] == DATA.images[1, 0].numpy()).all()
    _, _, output = next(predict_batches(model.eval(), DATA, batch_size=3))
    with torch.no_grad():
        drawn = model.reconstruct(output.capsules)[1, 0]
    assert (torch.from_numpy(picture[28:, 28:56, 0]) == (255 * drawn).round()).all()


@pytest.mark.parametrize("training", [True, False])
def test_model_is_left_as_it_was(training):
    model = create_model("capsnet-tiny", num_classes=2).train(training)
    draw_examples(model, DATA, None)
    assert model.training is training


def test_pairs_stand_above_their_two_digits():
    model = create_model("capsnet-tiny", image_shape=(1, 36, 36), num_classes=2)
    assert draw_examples(model, DATA, Pairing(), count=4).shape == (3 * 36, 4 * 36, 1)


def test_channels_that_are_no_colours_are_drawn_by_the_first():
    model = create_model("capsnet-tiny", image_shape=(2, 28, 28), num_classes=2)
    two = ImageData(torch.cat([DATA.images, 255 - DATA.images], dim=1), DATA.labels, DATA.class_names)
    picture = draw_examples(model, two, None, count=2)
    assert (picture[:28, :28, 0] == DATA.images[0, 0].numpy()).all()


def test_model_without_decoder_draws_nothing():
    assert draw_examples(create_model("capsnet-tiny", num_classes=2, decoder=False), DATA, None) is None
