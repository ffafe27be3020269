"""Training in memory: what is drawn, and what is refused."""

import pytest
import torch

from capsnet.data import ImageData
from capsnet.errors import UserError
from capsnet.interop.learner import Learner, Progress, make_model, weighted_order
from capsnet.runs import RunConfig


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


def test_a_loss_that_is_not_finite_is_refused():
    data = ImageData(torch.zeros(8, 1, 28, 28, dtype=torch.uint8), torch.arange(8) % 2, ("a", "b"))
    config = RunConfig.from_defaults(model="capsnet-tiny", batch_size=4, epochs=1)
    model = make_model(config, data, None)
    with torch.no_grad():
        model.stem.weight.fill_(torch.nan)
    learner = Learner(model, data, config, Progress(0, [], []))
    with pytest.raises(UserError, match=r"not finite after 1 steps, at lr 0\.001; use a smaller lr"):
        learner.train_epoch()
