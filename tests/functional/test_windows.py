import pytest
import torch

from capsnet.functional import Windows, gather_windows, window_children


def test_windows_hold_the_children_of_their_places():
    children = window_children((4, 5), 2, (3, 2), 2)
    assert children.shape == (1 * 2, 3 * 2 * 2)
    # the second window starts at row 0, column 2: type 0 and 1 there, then column 3, then the next row
    assert children[1, :5].tolist() == [4, 5, 6, 7, 14]


LAYOUTS = [((3, 3), (2, 2), 1, 0), ((5, 4), (3, 2), 2, 1), ((4, 4), (2, 3), 3, 0), ((3, 4), (3, 4), 1, 0)]


def gather_by_number(values, grid, kernel_size, stride, padding):
    padded = (grid[0] + 2 * padding, grid[1] + 2 * padding)
    places = torch.nn.functional.pad(values.reshape(len(values), *grid, -1), (0, 0, *[padding] * 4)).reshape(
        len(values), -1, values.shape[2]
    )
    types = values.shape[1] // (grid[0] * grid[1])
    return places[:, window_children(padded, types, kernel_size, stride)].flatten(0, 1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_windows_hold_the_values_of_their_children(layout):
    values = torch.randn(2, layout[0][0] * layout[0][1] * 3, 4, dtype=torch.float64, requires_grad=True)
    expected, gathered = gather_by_number(values, *layout), gather_windows(values, *layout)
    assert gathered.equal(expected)
    gradient = torch.randn_like(expected)
    each = [torch.autograd.grad(result, values, gradient)[0] for result in (gathered, expected)]
    torch.testing.assert_close(*each)


# torch's own rules for forward derivatives are scripts
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_gather_has_second_and_forward_derivatives():
    values = torch.randn(2, 9, 2, dtype=torch.float64, requires_grad=True)

    def gather(values):
        return gather_windows(values, (3, 3), (2, 2), 1)

    assert torch.autograd.gradcheck(gather, (values,), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(lambda values: gather(values).square(), (values,))


def test_gather_works_on_each_of_several_batches():
    values = torch.randn(3, 2, 9, 2)
    each = torch.stack([gather_windows(part, (3, 3), (2, 2), 1) for part in values])
    assert torch.func.vmap(lambda part: gather_windows(part, (3, 3), (2, 2), 1))(values).equal(each)


def test_windows_of_a_compiler_are_the_same(monkeypatch):
    layout = ((5, 4), (3, 2), 2, 1)
    values = torch.randn(2, 60, 4, dtype=torch.float64, requires_grad=True)
    eager = gather_windows(values, *layout)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    traced = gather_windows(values, *layout)
    assert traced.equal(eager)
    gradient = torch.randn_like(eager)
    torch.testing.assert_close(*(torch.autograd.grad(result, values, gradient)[0] for result in (traced, eager)))


def test_log_softmax_is_over_all_parents_that_receive_from_a_child():
    windows = Windows(window_children((3, 4), 2, (2, 2), 1), 24)
    places, size = windows.children.shape
    logits = 5 * torch.randn(2 * places, size, 3, dtype=torch.float64)
    got = windows.log_softmax(logits).reshape(2, places, size, 3)
    logits = logits.reshape(2, places, size, 3)
    for sample in range(2):
        for child in range(24):
            here = windows.children == child
            torch.testing.assert_close(got[sample][here], logits[sample][here].flatten().log_softmax(0).reshape(-1, 3))


def test_one_window_is_a_softmax_over_its_parents():
    windows, logits = Windows(window_children((2, 2), 3, (2, 2), 1), 12), torch.randn(5, 12, 4)
    torch.testing.assert_close(windows.log_softmax(logits), logits.log_softmax(dim=2))


def test_log_softmax_passes_gradcheck_with_a_child_in_no_window():
    windows = Windows(window_children((3, 3), 1, (2, 2), 2), 9)
    logits = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(windows.log_softmax, (logits,))
