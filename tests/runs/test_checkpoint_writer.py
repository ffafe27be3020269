"""Checkpoints are written beside the training, from copies."""

import pytest
import torch
from torch import nn

from capsnet.errors import UserError
from capsnet.runs import checkpoint
from capsnet.runs.checkpoint import CheckpointWriter, State, load_checkpoint


@pytest.fixture
def model():
    return nn.Linear(3, 2)


def test_checkpoint_holds_what_was_there_when_it_was_saved(model, tmp_path):
    optimizer, writer = torch.optim.Adam(model.parameters()), CheckpointWriter(tmp_path / "last")
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    weight, moment = model.weight.detach().clone(), optimizer.state[model.weight]["exp_avg"].clone()
    state = State(step=1)
    writer.save(model, optimizer, state, torch.ones(5))
    state.step = 2
    optimizer.step()
    writer.wait()
    loaded, totals = load_checkpoint(tmp_path / "last", model, optimizer)
    assert (loaded.step, totals.sum()) == (1, 5)
    assert model.weight.equal(weight)
    assert optimizer.state[model.weight]["exp_avg"].equal(moment)


def test_checkpoint_that_cannot_be_written_is_an_error_of_the_run(model, tmp_path, monkeypatch):
    def fail(path, data):
        raise UserError("no space left")

    monkeypatch.setattr(checkpoint, "write_bytes", fail)
    writer = CheckpointWriter(tmp_path / "last")
    writer.save(model, torch.optim.SGD(model.parameters()), State(), torch.zeros(5))
    with pytest.raises(UserError, match="no space left"):
        writer.wait()
    # it is told once
    writer.wait()
