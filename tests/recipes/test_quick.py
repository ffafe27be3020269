"""The reduced recipes take some steps on a small made-up set in the official format."""

import pytest
from tests.official import write_mnist

from capsnet.recipes import RECIPES
from capsnet.training import train


@pytest.mark.parametrize("name", [name for name in RECIPES.names() if name.endswith("-mnist-quick")])
def test_quick_recipe_trains(tmp_path, name):
    config = RECIPES.get(name).config.change(data_dir=str(write_mnist(tmp_path)), steps=2, batch_size=4, validation=4)
    run = train(config, out=tmp_path / "run")
    assert run.evaluation()["step"] == 2
    assert run.evaluation()["test"]["n"] == 20
