import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from capsnet.errors import UserError
from capsnet.runs.checkpoint import State, load_checkpoint, save_checkpoint


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(96, 2)).to(memory_format=torch.channels_last)


def adam(model):
    return torch.optim.Adam(model.parameters(), lr=0.01, fused=True)


def learn(model, optimizer, steps, first=0):
    for step in range(first, first + steps):
        images = torch.randn(5, 4, 6, 6, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(images).square().sum().backward()
        optimizer.step()


def test_channels_last_network_goes_on_bit_for_bit(tmp_path):
    model = network()
    optimizer = adam(model)
    learn(model, optimizer, 3)
    save_checkpoint(tmp_path, model, optimizer, State(step=3), torch.zeros(5))
    resumed = network()
    again = adam(resumed)
    load_checkpoint(tmp_path, resumed, again)
    moment = again.state[resumed[0].weight]["exp_avg"]
    assert moment.stride() == resumed[0].weight.stride() != moment.contiguous().stride()
    learn(model, optimizer, 3, first=3)
    learn(resumed, again, 3, first=3)
    for one, two in zip(model.parameters(), resumed.parameters(), strict=True):
        assert one.equal(two)


def rewrite(folder, change):
    path = folder / "checkpoint.safetensors"
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    change(tensors, metadata)
    save_file(tensors, path, metadata)


def state(**values):
    return lambda tensors, metadata: metadata.update(state=json.dumps(json.loads(metadata["state"]) | values))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors, metadata: tensors.pop("totals"), "is not a checkpoint"),
        (lambda tensors, metadata: metadata.update(state="{"), "is not JSON"),
        (state(step="x"), "'state.step' must be an integer, got 'x'"),
        (state(more=1), "unknown entry 'state.more'"),
        (lambda tensors, metadata: tensors.pop("optimizer.0.exp_avg"), "'optimizer.0.exp_avg' is missing"),
        (lambda tensors, metadata: tensors.update({"optimizer.9.step": torch.zeros(())}), "no 'optimizer.9.step'"),
        (lambda tensors, metadata: tensors.update({"optimizer.x": torch.zeros(())}), "no 'optimizer.x'"),
        (
            lambda tensors, metadata: tensors.update({"optimizer.1.exp_avg": torch.zeros(3)}),
            r"'optimizer.1.exp_avg' is \(3,\) in the file, \(6,\) in the model",
        ),
        (lambda tensors, metadata: tensors["optimizer.1.exp_avg"].fill_(float("inf")), "holds NaN or infinity"),
    ],
)
def test_damaged_checkpoint_is_refused(change, words, tmp_path):
    model = network()
    optimizer = adam(model)
    learn(model, optimizer, 1)
    save_checkpoint(tmp_path, model, optimizer, State(step=1), torch.zeros(5))
    rewrite(tmp_path, change)
    with pytest.raises(UserError, match=words):
        load_checkpoint(tmp_path, model, optimizer)


def test_checkpoint_of_another_optimizer_is_refused(tmp_path):
    model = network()
    optimizer = adam(model)
    learn(model, optimizer, 1)
    save_checkpoint(tmp_path, model, optimizer, State(step=1), torch.zeros(5))
    with pytest.raises(UserError, match="is a checkpoint of another optimizer"):
        load_checkpoint(tmp_path, model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
