"""Training in memory: what is drawn, and what is refused."""

import pytest
import torch

from capsnet.data import ImageData
from capsnet.errors import UserError
from capsnet.interop.learner import Learner, Progress, make_model, weighted_order
from capsnet.runs import RunConfig
from capsnet.training.objective import find_losses


def test_images_are_drawn_in_proportion_to_their_weights():
    weights = torch.tensor([0.0, 1.0, 2.0, 1.0])
    for seed in range(5):
        counts = weighted_order(weights, torch.Generator().manual_seed(seed)).bincount(minlength=4)
        assert counts.tolist() == [0, 1, 2, 1]


def test_a_fraction_is_rounded_by_chance():
    weights = torch.tensor([1.0, 3.0])
    drawn = torch.stack(
        [weighted_order(weights, torch.Generator().manual_seed(seed)).bincount(minlength=2) for seed in range(400)]
    )
    assert drawn[:, 0].unique().tolist() == [0, 1]
    assert abs(drawn[:, 0].float().mean() - 0.5) < 0.1


def test_progress_of_losses_goes_on_and_ends_at_one(monkeypatch):
    seen = []

    def watch(model, batch, weight, progress):
        seen.append(float(progress))
        return find_losses(model, batch, weight, progress)

    monkeypatch.setattr("capsnet.training.step.find_losses", watch)
    data = ImageData(torch.zeros(8, 1, 28, 28, dtype=torch.uint8), torch.arange(8) % 2, ("a", "b"))
    config = RunConfig.from_defaults(model="capsnet-tiny", batch_size=4, epochs=2)
    model, progress = make_model(config, data, None), Progress(0, [], [])
    # as `partial_fit`: a learner for each epoch, and one more than the configuration has
    for _ in range(3):
        Learner(model, data, config, progress).train_epoch()
    assert seen == [0, 0.25, 0.5, 0.75, 1, 1]


def test_a_loss_that_is_not_finite_is_refused():
    data = ImageData(torch.zeros(8, 1, 28, 28, dtype=torch.uint8), torch.arange(8) % 2, ("a", "b"))
    config = RunConfig.from_defaults(model="capsnet-tiny", batch_size=4, epochs=1)
    model = make_model(config, data, None)
    with torch.no_grad():
        model.stem.weight.fill_(torch.nan)
    learner = Learner(model, data, config, Progress(0, [], []))
    with pytest.raises(UserError, match=r"not finite after 1 steps, at lr 0\.001; use a smaller lr"):
        learner.train_epoch()
