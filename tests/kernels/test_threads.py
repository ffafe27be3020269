"""Work in parts: the parts, and that kernels give the same in several threads."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from capsnet.kernels.dynamic_routing import dynamic_routing
from capsnet.kernels.strided_conv.op import strided_conv2d
from capsnet.kernels.threads import in_parts


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_parts_cover_all_images_in_order() -> None:
    assert in_parts(50, lambda part: (part.start, part.stop), at_least=16) == [(0, 16), (16, 33), (33, 50)]


@pytest.mark.parametrize(("count", "parts"), [(1, 1), (31, 1), (32, 2), (47, 2), (1000, 3)])
def test_no_part_is_too_small(count: int, parts: int) -> None:
    assert len(in_parts(count, lambda part: None, at_least=16)) == parts


def test_each_part_has_one_thread_and_torch_has_its_own_again_afterwards() -> None:
    assert in_parts(48, lambda part: torch.get_num_threads(), at_least=16) == [1, 1, 1]
    assert torch.get_num_threads() == 3


def test_fault_in_a_part_is_raised_and_leaves_torch_its_threads() -> None:
    def fail(part: slice) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_parts(48, fail, at_least=16)
    assert torch.get_num_threads() == 3


def test_parts_record_no_gradients_and_know_of_inference_mode() -> None:
    def modes(part: slice) -> tuple[bool, bool]:
        return torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    assert in_parts(32, modes, at_least=16) == [(False, False)] * 2
    with torch.inference_mode():
        assert in_parts(32, modes, at_least=16) == [(False, True)] * 2


def value_and_gradients(work: object, *inputs: Tensor) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    output = work(*leaves)  # type: ignore[operator]
    return [output.detach(), *torch.autograd.grad(output.square().sum(), leaves)]


@pytest.mark.parametrize("kernel", ["dynamic_routing", "strided_conv"])
def test_kernels_are_the_same_in_several_threads(kernel: str) -> None:
    draw = torch.Generator().manual_seed(0)
    if kernel == "dynamic_routing":
        inputs = [torch.randn(50, 9, 4, generator=draw), torch.randn(9, 4, 5, 6, generator=draw)]

        def work(poses: Tensor, weight: Tensor) -> Tensor:
            return dynamic_routing(poses, weight).poses
    else:
        inputs = [torch.randn(26, 3, 20, 20, generator=draw), torch.randn(4, 3, 9, 9, generator=draw)]

        def work(x: Tensor, weight: Tensor) -> Tensor:
            result: Tensor = strided_conv2d(x, weight, None, [2, 2])
            return result

    several = value_and_gradients(work, *inputs)
    again = value_and_gradients(work, *inputs)
    with torch.inference_mode():
        inferred = work(*inputs)
    torch.set_num_threads(1)
    alone = value_and_gradients(work, *inputs)
    assert all(a.equal(b) for a, b in zip(several, again, strict=True))
    for one, other in zip([*several, inferred], [*alone, alone[0]], strict=True):
        # a rounding of each of the two, as strided_conv/README.md bounds it
        assert (one - other).norm() < 80 * torch.finfo(torch.float32).eps * other.norm()
