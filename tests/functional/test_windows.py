import torch

from capsnet.functional import Windows, window_children


def test_windows_hold_the_children_of_their_places():
    children = window_children((4, 5), 2, (3, 2), 2)
    assert children.shape == (1 * 2, 3 * 2 * 2)
    # the second window starts at row 0, column 2: type 0 and 1 there, then column 3, then the next row
    assert children[1, :5].tolist() == [4, 5, 6, 7, 14]


def test_gather_lays_out_values_window_by_window():
    windows = Windows(window_children((3, 3), 2, (2, 2), 1), 18)
    values = torch.randn(2, 18, 4)
    gathered = windows.gather(values)
    assert gathered.shape == (2 * 4, 8, 4)
    torch.testing.assert_close(gathered[4 + 3, 0], values[1, (1 * 3 + 1) * 2])


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
