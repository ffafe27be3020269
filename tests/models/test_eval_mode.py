import pytest
import torch
from torch import nn

from capsnet.models.eval_mode import eval_mode


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_put_back_also_after_an_error(training: bool) -> None:
    module = nn.Sequential(nn.Dropout(), nn.Linear(2, 2)).train(training)

    def fail() -> None:
        with eval_mode(module):
            assert not any(part.training for part in module.modules())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert all(part.training == training for part in module.modules())


def test_a_model_that_is_tested_goes_on_learning() -> None:
    dropout = nn.Dropout(0.999)
    with eval_mode(dropout):
        assert dropout(torch.ones(100)).sum() == 100
    assert dropout(torch.ones(1000)).sum() != 1000


def test_parts_that_were_in_eval_mode_stay_in_it() -> None:
    module = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    module.train()
    module[1].eval()
    with eval_mode(module):
        pass
    assert [module.training, *(part.training for part in module)] == [True, True, False]
