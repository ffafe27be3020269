import pytest
import torch
from torch.autograd import forward_ad

from capsnet.errors import UserError
from capsnet.functional import dense_votes


def test_vote_is_the_child_times_its_matrix_for_the_parent():
    poses, weight = torch.randn(2, 3, 4), torch.randn(3, 4, 5, 6)
    votes = dense_votes(poses, weight)
    assert votes.shape == (2, 3, 5, 6)
    torch.testing.assert_close(votes[1, 2, 3], poses[1, 2] @ weight[2, :, 3])


def test_vote_of_a_matrix_is_the_matrix_product():
    poses, weight = torch.randn(2, 3, 12), torch.randn(3, 4, 5, 6)
    votes = dense_votes(poses, weight)
    assert votes.shape == (2, 3, 5, 18)
    torch.testing.assert_close(votes[1, 2, 3].reshape(3, 6), poses[1, 2].reshape(3, 4) @ weight[2, :, 3])


def test_poses_that_are_no_whole_rows_are_refused():
    with pytest.raises(UserError, match="whole rows of 4 numbers, got 10"):
        dense_votes(torch.randn(2, 3, 10), torch.randn(3, 4, 5, 6))


def test_votes_lie_so_that_sums_over_children_copy_nothing():
    weight = torch.randn(3, 4, 5, 6)
    vectors, matrices = dense_votes(torch.randn(2, 3, 4), weight), dense_votes(torch.randn(2, 3, 12), weight)
    assert vectors.transpose(0, 1).is_contiguous()  # i b j d
    assert matrices.permute(0, 2, 3, 1).is_contiguous()  # b j (r d) i


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own forward mode
def test_votes_of_matrices_have_a_forward_derivative():
    poses, weight = torch.randn(2, 3, 12), torch.randn(3, 4, 5, 6)
    with forward_ad.dual_level():
        votes = dense_votes(forward_ad.make_dual(poses, 2 * poses), weight)
        torch.testing.assert_close(forward_ad.unpack_dual(votes).tangent, 2 * dense_votes(poses, weight))
