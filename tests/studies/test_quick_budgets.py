"""A quick budget ends in an hour on two cores, by the multiply-adds of its networks."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from capsnet.models import create_model
from capsnet.studies import STUDIES, plan

# measured on two cores of an AMD EPYC: 123 images a second of the network for MNIST, 0.20e9 each, less a fifth
TRAINED = 20e9
TESTED = 3 * TRAINED
# input, training and test images
SETS = {
    "affnist": ((1, 40, 40), 60_000, 320_000),
    "cifar10": ((3, 24, 24), 50_000, 10_000),
    "multimnist": ((1, 36, 36), 60_000, 10_000),
    "smallnorb": ((2, 32, 32), 24_300, 24_300),
    "svhn": ((3, 32, 32), 73_257, 26_032),
}
CLASSES = {"smallnorb": 5}


def multiply_adds(config):
    sizes = {"image_shape": SETS[config.data.name][0], "num_classes": CLASSES.get(config.data.name, 10)}
    options = {**sizes, **config.model.options}
    model = create_model(config.model.name, **options).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *model.input_shape))
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("name", SETS)
def test_quick_budget_ends_in_an_hour(name):
    study = STUDIES.get(f"sabour2017-{name}")
    seeds, seconds = study.budget("quick").seeds, 0.0
    for task in plan(study, "quick", 1, Path("study")):
        config, (_, training, test) = task.config, SETS[name]
        assert config.optimizer.steps is None
        cost = multiply_adds(config)
        tested = min(test, config.data.test_limit or test) * config.data.pairs_per_digit
        # networks together are tested as long again
        times = 2 if study.together else 1
        held_out = config.optimizer.epochs * config.data.validation
        seconds += cost * min(config.data.limit, training) * config.optimizer.epochs / TRAINED
        seconds += cost * (times * tested + held_out) / TESTED
    assert 300 < seconds * seeds < 3000
