import pytest

from capsnet import create_model
from capsnet.inference.words import length_word


@pytest.mark.parametrize(
    ("routing", "word"), [("dynamic", "length"), ("self-routing", "share"), ("em", "activation"), ("uniform", "length")]
)
def test_word_of_a_network_follows_its_routing(routing, word):
    assert length_word(create_model("capsnet-tiny", routing=routing)) == word


@pytest.mark.parametrize(
    ("model", "word"), [("attention-capsnet-small", "share"), ("em-capsnet-tiny", "activation"), ("resnet-20", "share")]
)
def test_word_of_a_network_follows_its_loss(model, word):
    assert length_word(create_model(model)) == word
