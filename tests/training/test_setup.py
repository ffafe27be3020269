import json
from dataclasses import asdict, replace

import pytest
from tests.conftest import TINY

from capsnet.data import load_data
from capsnet.data.inputs import Inputs
from capsnet.data.pairs import Pairing
from capsnet.errors import UserError
from capsnet.routing import ROUTINGS, Routing
from capsnet.runs import RunConfig
from capsnet.training.setup import specify


def test_held_out_images_of_pairs_cannot_be_moved():
    dataset = replace(load_data("digits"), pairing=Pairing())
    with pytest.raises(UserError, match="validation_shift"):
        specify(replace(TINY, validation_shift=1), dataset)


@pytest.mark.parametrize(
    ("model", "changes", "routing", "iterations"),
    [
        ("em-capsnet-small", {}, "em", 3),
        ("em-capsnet-small", {"routing": "uniform"}, "uniform", None),
        ("attention-capsnet", {}, "inverted_dot_product", 2),
        ("attention-capsnet", {"iterations": 1}, "inverted_dot_product", 1),
        ("capsnet-tiny", {"routing": "em", "iterations": 2}, "em", 2),
    ],
)
def test_model_made_for_another_routing_keeps_it_unless_one_is_named(model, changes, routing, iterations):
    config = replace(TINY, model=model, recon_weight=0.0, **changes)
    built = specify(config, load_data("digits")).build()
    (used, *_) = [part for part in built.modules() if isinstance(part, Routing)]
    assert isinstance(used, ROUTINGS.get(routing))
    # attention iterates over all layers together: the count is the model's
    assert getattr(built, "iterations", getattr(used, "iterations", None)) == iterations


def test_pixel_range_of_the_data_goes_with_the_weights():
    dataset = replace(load_data("digits"), pixel_range=(0.0, 4095.0))
    spec = specify(RunConfig(), dataset)
    assert Inputs.from_dict(json.loads(json.dumps(asdict(spec.inputs)))).pixel_range == (0.0, 4095.0)
