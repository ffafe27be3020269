import pytest
import torch

from capsnet.functional import exponential_squash, squash


def test_squash_keeps_direction_and_shortens_by_equation_1():
    s = torch.tensor([[3.0, 4.0], [-0.6, 0.8]])
    expected = torch.tensor([[0.6, 0.8], [-0.6, 0.8]]) * torch.tensor([[25 / 26], [1 / 2]])
    torch.testing.assert_close(squash(s), expected)


def test_squash_works_along_any_axis():
    s = torch.randn(2, 8, 3)
    torch.testing.assert_close(squash(s, dim=1), squash(s.movedim(1, -1)).movedim(-1, 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1e-38, 1e-20, 1e-8, 1.0, 1e4, 1e20, 1e38])
def test_squash_is_finite_with_finite_gradient_at_any_scale(dtype, scale):
    s = (torch.tensor([[1.0, -0.5, 0.25, 0.0]]) * scale).to(dtype).requires_grad_()
    v = squash(s)
    v.sum().backward()
    assert v.isfinite().all()
    assert s.grad.isfinite().all()
    assert v.dtype == dtype
    assert v.float().norm() <= 1 + 2**-8


def test_squash_of_zero_is_zero_with_zero_gradient():
    s = torch.zeros(3, 4, requires_grad=True)
    squash(s).sum().backward()
    assert squash(s).eq(0).all()
    assert s.grad.abs().max() < 1e-9


def test_squash_of_a_huge_vector_is_its_direction():
    torch.testing.assert_close(squash(torch.tensor([3e30, 4e30])), torch.tensor([0.6, 0.8]))


def test_squash_of_bf16_is_that_of_float32_rounded():
    s = torch.randn(64, 8).bfloat16()
    torch.testing.assert_close(squash(s), squash(s.float()).bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_squash_passes_gradcheck(scale):
    s = (torch.randn(3, 4, dtype=torch.float64) * scale).requires_grad_()
    assert torch.autograd.gradcheck(squash, (s,))


def test_exponential_squash_keeps_direction_and_shortens_by_hand():
    got = exponential_squash(torch.tensor([[3.0, 4.0], [-0.6, 0.8]]))
    lengths = 1 - torch.tensor([[5.0], [1.0]]).neg().exp()
    torch.testing.assert_close(got, lengths * torch.tensor([[0.6, 0.8], [-0.6, 0.8]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [0.0, 1e-38, 1e-20, 1e-8, 1.0, 1e4, 1e20, 1e38])
def test_exponential_squash_is_finite_with_finite_gradient_at_any_scale(dtype, scale):
    s = (torch.tensor([[1.0, -0.5, 0.25, 0.0]]) * scale).to(dtype).requires_grad_()
    v = exponential_squash(s)
    v.sum().backward()
    assert v.isfinite().all()
    assert s.grad.isfinite().all()
    assert v.dtype == dtype
    assert v.float().norm() <= 1 + 2**-8


def test_exponential_squash_keeps_the_length_of_a_short_vector():
    s = torch.tensor([3e-5, 4e-5], requires_grad=True)
    v = exponential_squash(s)
    torch.testing.assert_close(v, s, rtol=1e-4, atol=0)
    v.sum().backward()
    torch.testing.assert_close(s.grad, torch.ones(2), rtol=1e-3, atol=0)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_exponential_squash_passes_gradcheck(scale):
    s = (torch.randn(3, 4, dtype=torch.float64) * scale).requires_grad_()
    assert torch.autograd.gradcheck(exponential_squash, (s,))
