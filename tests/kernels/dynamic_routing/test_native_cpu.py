"""Routing in C: taken where it can be, the same bits in any number of threads, right for extreme numbers.

test_parity.py compares values and gradients with the plain function's.
"""

from collections.abc import Callable, Iterator

import pytest
import torch
from tests.c_compiler import needs_compiler
from torch import Tensor

from capsnet import kernels
from capsnet.functional import dense_votes
from capsnet.kernels import native
from capsnet.kernels.dynamic_routing import cpu, dynamic_routing, native_cpu, op, refuses
from capsnet.routing import dynamic_routing as plain


@pytest.fixture(autouse=True)
def _auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSNET_KERNELS", "auto")


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def draw(b: int, i: int, c: int, j: int, d: int, scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    poses, weight = torch.randn(b, i, c, generator=generator), torch.randn(i, c, j, d, generator=generator)
    return [scale * poses, weight * c**-0.5]


def run(tensors: list[Tensor], **options: object) -> list[Tensor]:
    """Poses, coupling and the gradients of poses and weight."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    out = dynamic_routing(*leaves, **options)
    return [out.poses.detach(), out.coupling.detach(), *torch.autograd.grad(out.poses.cos().sum(), leaves)]


@needs_compiler
def test_float32_runs_in_c_from_three_images_on() -> None:
    poses, weight = draw(3, 3, 2, 2, 4)
    assert op._implementation(poses) is native_cpu
    assert refuses(poses, weight) is None
    assert refuses(poses[:2], weight) == "the plain implementation is faster for fewer than 3 samples on a CPU"


@needs_compiler
@pytest.mark.parametrize("images", [3, 40])
@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
def test_c_computes_in_float32_whatever_the_default_dtype(
    default: torch.dtype, images: int, threads: Callable[[int], None]
) -> None:
    threads(2)
    tensors, before, found = draw(images, 70, 4, 3, 8), torch.get_default_dtype(), []
    try:
        for dtype in (before, default):
            torch.set_default_dtype(dtype)
            found.append(run(tensors))
    finally:
        torch.set_default_dtype(before)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@needs_compiler
def test_float64_does_not_run_in_c() -> None:
    assert op._implementation(torch.zeros(1, 3, 2).double()) is cpu


def test_torch_alone_is_used_when_chosen() -> None:
    poses, weight = draw(3, 3, 2, 2, 4)
    with kernels.use("torch"):
        assert op._implementation(poses) is cpu
        assert refuses(poses, weight) == "the plain implementation is faster for fewer than 12 samples on a CPU"


def test_torch_alone_is_used_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "refuses", lambda source: "there is no C compiler")
    assert op._implementation(torch.zeros(16, 3, 2)) is cpu


@needs_compiler
@pytest.mark.parametrize("images", [1, 17, 40, 130])
def test_bits_do_not_depend_on_the_number_of_threads(images: int, threads: Callable[[int], None]) -> None:
    tensors = draw(images, 300, 4, 3, 5)
    results = []
    for number in (1, 2, 3):
        threads(number)
        results.append(run(tensors))
    assert all(a.equal(b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@needs_compiler
def test_bits_of_an_image_do_not_depend_on_the_others() -> None:
    poses, weight = draw(19, 40, 4, 3, 5)
    together, alone = (dynamic_routing(p, weight) for p in (poses, poses[18:]))
    assert together.poses[18:].equal(alone.poses)
    assert together.coupling[18:].equal(alone.coupling)


# b i c j d: more images than a block, a whole chunk of children and one more, more parents than a vector has lanes
@needs_compiler
@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize(
    "size", [(130, 33, 8, 10, 16), (16, 32, 1, 128, 3), (3, 7, 32, 1, 32), (17, 64, 9, 7, 8)], ids=str
)
@pytest.mark.parametrize("options", [{}, {"leaky": True}, {"gradient": "last"}, {"iterations": 1}], ids=str)
def test_results_are_those_of_torch_operations(size: tuple[int, ...], options: dict[str, object]) -> None:
    tensors = draw(*size)
    results = run(tensors, **options)
    exact = run([tensor.double() for tensor in tensors], **options)
    with kernels.use("torch"):
        others = run(tensors, **options)
    for truth, result, other in zip(exact, results, others, strict=True):
        allowed = 2 * (other - truth).norm() + torch.finfo(torch.float32).eps * truth.norm()
        assert (result - truth).norm() <= allowed


@needs_compiler
@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e4, 1e18, 1e30])
def test_results_of_extreme_poses_are_those_of_float64(scale: float) -> None:
    tensors = draw(3, 1, 3, 4, 5, scale)
    results, exact = run(tensors), run([tensor.double() for tensor in tensors])
    assert all(result.isfinite().all() for result in results)
    for result, truth in zip(results[:2], exact[:2], strict=True):
        torch.testing.assert_close(result, truth.float())


@needs_compiler
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_bad_numbers_stay_in_their_image(value: float) -> None:
    poses, weight = draw(5, 7, 3, 4, 5)
    clean = dynamic_routing(poses, weight)
    poses[2, 3, 1] = value
    out, wanted = dynamic_routing(poses, weight), plain(dense_votes(poses, weight))
    assert out.poses.isnan().equal(wanted.poses.isnan())
    assert out.coupling.isnan().equal(wanted.coupling.isnan())
    others = [0, 1, 3, 4]
    assert out.poses[others].equal(clean.poses[others])


@needs_compiler
def test_coupling_is_softmax_for_large_logits() -> None:
    # one child and parents' poses of nearly length 1: logits are the lengths of the votes
    weight = torch.tensor([-2e4, -300.0, -90.0, -80.0, 1e4, 1e4 - 1, 0.0, 1e-3]).view(1, 1, 8, 1)
    poses = torch.ones(2, 1, 1)
    out = dynamic_routing(poses, weight, iterations=2)
    torch.testing.assert_close(out.coupling, plain(dense_votes(poses, weight), iterations=2).coupling)


def test_operator_is_left_out_without_gradients_only() -> None:
    poses, weight = draw(16, 3, 2, 2, 4)
    assert not op.needs_operator([poses, weight])
    weight.requires_grad_()
    assert op.needs_operator([poses, weight])
    with torch.no_grad():
        assert not op.needs_operator([poses, weight])
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True):
        assert op.needs_operator([poses, weight.detach()])
        assert dynamic_routing(poses, weight.detach()).poses.shape == (16, 2, 4)
