from math import log

import pytest
import torch

from capsnet.analysis.routing import (
    coupling_entropy,
    is_leaky,
    measure_routing,
    same_leakiness,
    say_routing,
    t_score,
)
from capsnet.errors import UserError


def test_uniform_coupling_has_entropy_ln_j_and_t_score_0():
    coupling = torch.full((2, 3, 5), 1 / 5, dtype=torch.float64)
    assert coupling_entropy(coupling).flatten().tolist() == pytest.approx([log(5)] * 6)
    scores = t_score(coupling).flatten().tolist()
    assert scores == pytest.approx([0] * 6, abs=1e-12)
    # no "-0.0000" where it is printed
    assert min(scores) >= 0


def test_one_hot_coupling_has_entropy_0_and_t_score_1():
    coupling = torch.eye(4)[None]
    assert coupling_entropy(coupling).tolist() == [[0] * 4]
    assert t_score(coupling).tolist() == [[1] * 4]


def test_t_score_of_two_equal_classes_of_four_is_a_half():
    assert t_score(torch.tensor([[[0.5, 0.5, 0.0, 0.0]]])).item() == pytest.approx(0.5)


def test_what_leaks_is_one_more_outcome():
    coupling = torch.full((1, 1, 3), 0.25)
    assert is_leaky(coupling)
    assert coupling_entropy(coupling, leaky=True).item() == pytest.approx(log(4))
    assert t_score(coupling, leaky=True).item() == pytest.approx(0, abs=1e-12)


def test_coupling_that_is_no_division_is_refused():
    with pytest.raises(UserError, match="does not sum to one"):
        is_leaky(torch.full((1, 2, 3), 0.9))


@pytest.mark.parametrize(("options", "leaky"), [({}, False), ({"leaky": True}, True)])
def test_routing_of_one_iteration_is_uniform_and_static(make_subject, options, leaky):
    found = measure_routing(*make_subject(iterations=1, **options))
    assert found["leaky"] == leaky
    assert found["t_score"] == pytest.approx(0, abs=1e-6)
    assert found["entropy"] == pytest.approx(log(4 + leaky), abs=1e-6)
    # the root of a difference of float32 squares
    assert found["coupling_std"] == pytest.approx(0, abs=1e-7)
    assert found["winner_coupling"] == pytest.approx(1 / (4 + leaky))


def test_statistics_are_those_of_the_whole_coupling(make_subject):
    model, data = make_subject()
    found = measure_routing(model, data)
    coupling = model(data.images.float() / 255).coupling.detach().double()
    assert found["coupling_std"] == pytest.approx(float(coupling.std(dim=0, correction=0).mean()), rel=1e-4)
    assert found["t_scores"] == pytest.approx(t_score(coupling).mean(dim=0).tolist(), rel=1e-4, abs=1e-8)
    assert len(found["activations"]) == found["children"] == coupling.shape[1]
    assert f"{found['t_score']:.2g}" in say_routing(found)


def test_each_batch_is_checked_for_leaks():
    whole, leaky = torch.full((2, 3, 4), 0.25), torch.full((2, 3, 4), 0.2)
    assert not same_leakiness(whole, None)
    assert same_leakiness(leaky, True)
    with pytest.raises(UserError, match="for some images only"):
        same_leakiness(leaky, False)
    with pytest.raises(UserError, match="does not sum to one"):
        same_leakiness(torch.tensor([[[-0.02, 0.5, 0.52]]]), False)


def test_one_class_is_refused(make_subject):
    with pytest.raises(UserError, match="single class"):
        measure_routing(*make_subject(classes=1))
