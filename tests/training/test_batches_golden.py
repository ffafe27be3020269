"""The random numbers of a seed and epoch stay what they were, and so do the batches: stored runs resume."""

import json
from pathlib import Path

import pytest
import torch
from tests.official import pixels

from capsnet.data import ImageData
from capsnet.data.inputs import Inputs
from capsnet.data.pairs import Pairing
from capsnet.runs.formats import none_for_zero
from capsnet.runs.sections import AugmentationConfig
from capsnet.training.batches import Batches, take
from capsnet.training.setup import augmentation

GOLDEN = json.loads(Path(__file__).with_name("batches.json").read_text())


@pytest.mark.parametrize("name", GOLDEN)
def test_draws_and_batches_equal_those_recorded_before_transforms_were_objects(name):
    golden = GOLDEN[name]
    config = AugmentationConfig(**none_for_zero(golden["config"]))
    data = ImageData(torch.from_numpy(pixels(5, 1, 8, 8)), torch.arange(5) % 2, tuple("ab"))
    pairing = Pairing(padding=1) if name == "pairs" else None
    shape = (1, 10, 10) if pairing else (1, 8, 8)
    inputs = Inputs(shape, config.shrink or 0, config.crop or 0, config.standardize)
    batches = Batches(data, inputs, augmentation(config), pairing)
    order, draws = batches.plan_epoch(7, 3)
    assert order.tolist() == golden["order"]
    assert [numbers.tolist() for numbers in draws.values()] == golden["draws"]
    batch = batches.make(order[:2], take(draws, slice(2)))
    torch.testing.assert_close(batch.inputs.flatten(1), torch.tensor(golden["inputs"]), atol=2e-6, rtol=0)
