"""Every model trains by nothing but its name."""

import pytest
from tests.conftest import TINY

from capsnet import UserError
from capsnet.data import load_data
from capsnet.models import MODELS
from capsnet.recipes import RECIPES
from capsnet.runs import RunConfig
from capsnet.runs.built import as_built
from capsnet.runs.weights import on_meta
from capsnet.training import train
from capsnet.training.setup import specify

DIGITS = load_data("digits")


# made for pairs of 36x36; it refuses digits of 28x28 by their size
LARGER = "efficient-capsnet-multimnist"


@pytest.mark.parametrize("name", [name for name in MODELS.names() if name != LARGER])
def test_default_configuration_of_a_model_can_be_built(name):
    with on_meta():
        model = specify(RECIPES.get("quickstart").config.change(model=name), DIGITS).build()
    decoder = getattr(model, "decoder", None)
    assert bool(as_built(RunConfig.from_defaults(model=name)).optimizer.recon_weight) == (decoder is not None)


def test_model_of_larger_images_says_so():
    with pytest.raises(UserError, match="images must be at least 29x29"), on_meta():
        specify(RunConfig.from_defaults(model=LARGER), DIGITS).build()


def test_self_routing_trains_by_its_name(tmp_path):
    small = {"num_types": 4, "child_dim": 4}
    run = train(TINY.change(model="self-routing-capsnet", steps=1, model_options=small), out=tmp_path / "run")
    assert (run.config.optimizer.recon_weight, run.evaluation()["step"]) == (0.0, 1)


def test_weight_of_a_decoder_that_cannot_be_is_refused():
    with pytest.raises(UserError, match="set parent_dim, got 0"), on_meta():
        specify(RunConfig.from_defaults(model="self-routing-capsnet", recon_weight=0.0005), DIGITS).build()


def test_weight_of_a_decoder_that_is_left_out_is_refused():
    config = RunConfig.from_defaults(model="capsnet-tiny", recon_weight=0.0005, model_options={"decoder": False})
    with pytest.raises(UserError, match="contradict each other"):
        as_built(config)


def test_decoder_as_a_model_option_is_trained():
    config = RunConfig.from_defaults(model="em-capsnet-small", model_options={"decoder": True})
    assert as_built(config).optimizer.recon_weight == 0.0005
