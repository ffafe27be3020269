"""A tuned backbone learns at a rate of its own."""

import pytest
import torch
from torch import nn

import capsnet
from capsnet.errors import UserError
from capsnet.runs.sections import OptimizerConfig
from capsnet.training.optimizer import make_optimizer, set_learning_rate


def tuned():
    backbone = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU())
    return capsnet.create_model("backbone-capsnet", image_shape=(1, 8, 8), backbone=backbone, frozen=False)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_backbone_learns_at_its_share_of_the_rate(name):
    model = tuned()
    optimizer = make_optimizer(model, OptimizerConfig(name=name, backbone_lr=0.25), torch.device("cpu"))
    set_learning_rate(optimizer.param_groups, 0.01)
    rates = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    for key, weight in model.named_parameters():
        assert rates[id(weight)] == (0.0025 if key.startswith("backbone.") else 0.01)


def test_rate_of_a_backbone_is_refused_without_one():
    with pytest.raises(UserError, match=r"backbone_lr must be left out, got 0.1: the model has no backbone"):
        make_optimizer(capsnet.create_model("capsnet"), OptimizerConfig(backbone_lr=0.1), torch.device("cpu"))


def test_resumed_run_continues_with_both_rates(tmp_path):
    images = torch.randint(256, (40, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = capsnet.Dataset.from_arrays(images.numpy(), list(range(10)) * 4)
    options = {"data": data, "backbone_lr": 0.5, "shift": 0, "batch_size": 16, "validation": 0}
    options |= {"schedule": "exponential"}
    models = []
    for lengths in ((2,), (1, 2)):
        torch.manual_seed(0)
        model = tuned()
        run = capsnet.train(model=model, epochs=lengths[0], out=tmp_path / str(len(lengths)), **options)
        if len(lengths) == 2:
            model = tuned()
            capsnet.train(model=model, data=data, resume=run.folder, epochs=2)
        models.append(model.state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
