import pytest

from capsnet.figures.command import changes, command
from capsnet.recipes import RECIPES

QUICKSTART = RECIPES.get("quickstart").config


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (RECIPES.get("sabour2017-mnist").config, "capsnet train sabour2017-mnist"),
        (QUICKSTART.change(epochs=9), "capsnet train quickstart --epochs 9"),
        (QUICKSTART.change(recipe="custom", data="my photos"), "capsnet train quickstart --data 'my photos'"),
        (QUICKSTART.change(steps=300), "capsnet train quickstart --steps 300"),
        (
            RECIPES.get("sabour2017-multimnist").config.change(epochs=2),
            "capsnet train sabour2017-multimnist --epochs 2",
        ),
        (
            QUICKSTART.change(data="custom: arrays"),
            "capsnet.train(data=..., ...)  # Python objects, which no file holds",
        ),
        (QUICKSTART.change(routing_options={"bias": True}), "capsnet train quickstart --routing-option bias=true"),
        (QUICKSTART.change(model_options={"leaky": True}), "capsnet train quickstart --option leaky=true"),
        (
            QUICKSTART.change(model_options={"leaky": False, "name": "a b"}),
            "capsnet train quickstart --option leaky=false 'name=a b'",
        ),
        (
            QUICKSTART.change(model="resnet-20", model_options={"stages": ((4, 1, 1),)}),
            "capsnet train quickstart --model resnet-20 --option 'stages=[[4,1,1]]'",
        ),
    ],
)
def test_the_command_names_what_differs_from_the_recipe(config, expected):
    assert command(config).partition("; ")[0] == expected


def test_changes_of_a_run_name_both_values_but_not_the_device():
    config = QUICKSTART.change(epochs=9, device="cpu")
    assert changes(QUICKSTART, config) == f"epochs 9 instead of {QUICKSTART.optimizer.epochs}"
