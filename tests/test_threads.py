"""Work in parts: the parts, and that kernels give the same in several threads."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from capsnet.kernels.dynamic_routing import dynamic_routing
from capsnet.kernels.strided_conv.op import strided_conv2d
from capsnet.threads import in_parts, in_pieces, is_in_part


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


@pytest.mark.parametrize("count", [1, 48])
def test_work_knows_that_it_is_a_part(count: int) -> None:
    assert all(in_parts(count, lambda part: is_in_part(), at_least=16))
    assert not is_in_part()


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


def test_pieces_do_not_follow_the_number_of_threads() -> None:
    def piece(images: slice) -> tuple[int, int]:
        return images.start, images.stop

    expected = [(0, 12), (12, 25), (25, 37), (37, 50)]
    for threads in (1, 2, 3, 8):
        torch.set_num_threads(threads)
        assert in_pieces(50, 4, piece) == expected
    assert in_pieces(3, 4, piece) == [(0, 1), (1, 2), (2, 3)]
    assert in_pieces(50, 4, piece, at_least=20) == [(0, 25), (25, 50)]
    assert in_pieces(5, 4, piece, at_least=8) == [(0, 5)]


@pytest.mark.parametrize("c_or_torch", ["auto", "torch"])
@pytest.mark.parametrize("kernel", ["dynamic_routing", "strided_conv"])
def test_kernels_are_the_same_in_several_threads(kernel: str, c_or_torch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSNET_KERNELS", c_or_torch)
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
    for one, other in zip([*several, *again, inferred], [*alone, *alone, alone[0]], strict=True):
        assert one.equal(other)
