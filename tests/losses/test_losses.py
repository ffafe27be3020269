"""Every loss by the name that models give: what all of them share."""

import pytest
import torch

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.errors import UserError
from capsnet.losses import LOSSES, MarginLoss, SpreadLoss, margin_loss, spread_loss, spread_margin
from capsnet.losses.class_loss import class_loss

LENGTHS = torch.tensor([[0.9, 0.3, 0.2], [0.1, 0.5, 0.7]])
OUTPUT = CapsNetOutput(Capsules(LENGTHS[..., None], LENGTHS), LENGTHS, None)
LABELS = torch.tensor([0, 1])


@pytest.mark.parametrize("name", LOSSES.names())
def test_loss_is_one_number_for_each_image_and_has_words(name):
    loss = LOSSES.get(name)
    each = loss(OUTPUT, LABELS)
    assert each.shape == (2,)
    # the second image is classified wrongly
    assert each[1] > each[0]
    assert loss.words
    assert torch.equal(each, class_loss(name, OUTPUT, LABELS))


def test_modules_are_their_functions():
    own = MarginLoss(positive=0.8, negative=0.2, downweight=1.0)
    expected = margin_loss(LENGTHS, LABELS, 0.8, 0.2, 1.0, reduction="none")
    assert torch.equal(own(OUTPUT, LABELS), expected)
    assert own.targets == (0.8, 0.2)
    half = spread_loss(LENGTHS, LABELS, spread_margin(250_000), reduction="none")
    torch.testing.assert_close(SpreadLoss()(OUTPUT, LABELS, torch.tensor(0.5)), half)


@pytest.mark.parametrize("name", [name for name in LOSSES.names() if not LOSSES.get(name).pairs])
def test_loss_of_one_class_refuses_pairs(name):
    with pytest.raises(UserError, match=f"the {name} loss supports one class per image"):
        class_loss(name, OUTPUT, torch.tensor([[0, 1], [1, 2]]))


def test_unknown_loss_is_refused():
    with pytest.raises(UserError, match="unknown loss 'margn'; did you mean 'margin'"):
        class_loss("margn", OUTPUT, LABELS)
