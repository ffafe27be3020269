import pytest
import torch

from capsnet.errors import UserError
from capsnet.layers import MultiInterest
from capsnet.routing import behaviour_to_interest_routing, draw_logits, dynamic_routing

EXTRACTORS = ["behaviour-to-interest", "dynamic", "self-attention"]
each = pytest.mark.parametrize("extractor", EXTRACTORS)


def histories(users=3, items=9, dim=4):
    return torch.randn(users, items, dim), torch.arange(items) < torch.tensor([[items], [5], [0]])


@each
@pytest.mark.parametrize("filler", [torch.nan, 1e9])
def test_padding_changes_nothing(extractor, filler):
    layer, (items, mask) = MultiInterest(4, 3, extractor=extractor, max_items=9, interest_dim=5), histories()
    garbage = items.masked_fill(~mask[..., None], filler).requires_grad_()
    out = layer(garbage, mask)
    torch.testing.assert_close(out.poses[1:2], layer(items[1:2, :5]).poses)
    assert out.coupling[1, 5:].count_nonzero() == 0
    assert out.poses[2].count_nonzero() == out.mask[2].count_nonzero() == 0
    out.poses.square().sum().backward()
    gradients = [garbage.grad, *(parameter.grad for parameter in layer.parameters())]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert garbage.grad[~mask].count_nonzero() == 0


@each
def test_users_are_independent(extractor):
    layer, (items, mask) = MultiInterest(4, 3, extractor=extractor, max_items=9), histories()
    users = torch.tensor([5, 3, 8])
    together = layer(items, mask, users=users).poses
    alone = [layer(items[k : k + 1], mask[k : k + 1], users=users[k : k + 1]).poses for k in range(3)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_behaviours_share_one_matrix_and_users_have_their_own_logits():
    layer, (items, mask) = MultiInterest(4, 3, iterations=2, std=0.5, seed=4), histories()
    users = torch.tensor([5, 3, 8])
    interests = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])
    expected = behaviour_to_interest_routing(
        items @ layer.extract.weight, draw_logits(users, 9, 3, std=0.5, seed=4), 2, mask=mask, interests=interests
    )
    out = layer(items, mask, users=users)
    torch.testing.assert_close(out.poses, expected.poses)
    assert out.mask.sum(dim=1).tolist() == [3, 2, 0]
    assert MultiInterest(4, 3, adaptive=False)(items, mask).mask.sum(dim=1).tolist() == [3, 3, 0]


def test_dynamic_extractor_has_a_matrix_for_each_position_and_interest():
    layer, (items, _) = MultiInterest(4, 3, extractor="dynamic", max_items=9), histories()
    weight = layer.extract.capsules.weight
    votes = torch.stack([torch.einsum("bc,cjd->bjd", items[:, i], weight[i]) for i in range(9)], dim=1)
    torch.testing.assert_close(layer(items).poses, dynamic_routing(votes).poses)


def test_self_attention_extractor_equals_its_formula():
    layer, (items, _) = MultiInterest(4, 3, extractor="self-attention", max_items=9), histories()
    part = layer.extract
    for user in range(3):
        hidden = torch.tanh(part.hidden.weight @ (items[user] + part.positions).T)
        attention = torch.softmax(part.scores.weight @ hidden, dim=1)  # j i
        torch.testing.assert_close(layer(items).poses[user], attention @ items[user])


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="max_items must be a number for 'dynamic', got None"):
        MultiInterest(4, 3, extractor="dynamic")
    with pytest.raises(UserError, match=r"items must be b x at most 8 items x 4, got \(3, 9, 4\)"):
        MultiInterest(4, 3, max_items=8)(histories()[0])
    with pytest.raises(UserError, match="num_interests must be at least 1, got 0"):
        MultiInterest(4, 0)
    with pytest.raises(UserError, match="max_items must be at least 1, got 0"):
        MultiInterest(4, 3, extractor="dynamic", max_items=0)


@pytest.mark.usefixtures("unchecked")
def test_unknown_extractor_and_mask_of_another_shape_are_refused():
    with pytest.raises(UserError, match=r"extractor must be 'behaviour-to-interest', .* got 'mean'"):
        MultiInterest(4, 3, extractor="mean")
    with pytest.raises(UserError, match="gradient must be 'full' or 'last', got 'first'"):
        MultiInterest(4, 3, gradient="first")
    with pytest.raises(UserError, match=r"items must be b x items x 4, got \(9, 4\)"):
        MultiInterest(4, 3)(histories()[0][0])
    with pytest.raises(UserError, match=r"mask must be \(3, 9\), as the items, got \(3, 8\)"):
        MultiInterest(4, 3)(histories()[0], torch.ones(3, 8, dtype=torch.bool))


def test_an_argument_without_effect_is_refused():
    with pytest.raises(UserError, match=r"std must be left out, got 0\.5: extractor 'dynamic' does not use it"):
        MultiInterest(4, 3, extractor="dynamic", max_items=9, std=0.5)
    with pytest.raises(UserError, match="iterations must be left out, got 2: extractor 'self-attention'"):
        MultiInterest(4, 3, extractor="self-attention", max_items=9, iterations=2)


@pytest.mark.usefixtures("unchecked")
def test_a_mask_of_numbers_is_refused():
    with pytest.raises(UserError, match=r"mask must be torch\.bool, got torch\.float32"):
        MultiInterest(4, 3)(histories()[0], torch.ones(3, 9))
