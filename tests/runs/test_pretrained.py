import re

import pytest
import torch

from capsnet.errors import UserError
from capsnet.runs import load
from capsnet.runs.pretrained import FOLDER, list_pretrained, model_card

NAMES = ["capsnet-mnist", "efficient-capsnet-mnist"]


def test_two_networks_come_with_the_package_in_20_megabytes():
    assert list_pretrained() == NAMES
    assert sum(path.stat().st_size for path in FOLDER.glob("*.safetensors")) < 20e6


@pytest.mark.parametrize("name", NAMES)
def test_a_name_gives_a_model_in_float32_with_its_digits(name):
    model = load(name)
    assert not model.training
    assert model.class_names == tuple("0123456789")
    assert {value.dtype for value in model.state_dict().values() if value.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize("name", NAMES)
def test_the_card_says_what_it_is_and_how_good(name):
    card = model_card(name)
    assert f'capsnet.load("{name}")' in card
    assert re.search(r"test error of this file \| 0\.\d\d % of 10,000", card)
    assert re.search(r"commit [0-9a-f]{12}", card)


def test_a_folder_of_that_name_goes_before_the_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "capsnet-mnist").mkdir()
    with pytest.raises(UserError, match="is not a run folder"):
        load("capsnet-mnist")


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'capsnet-mnist'"):
        load("capsnet-mnits")
