import torch

from capsnet.functional import dense_votes


def test_vote_is_the_child_times_its_matrix_for_the_parent():
    poses, weight = torch.randn(2, 3, 4), torch.randn(3, 4, 5, 6)
    votes = dense_votes(poses, weight)
    assert votes.shape == (2, 3, 5, 6)
    torch.testing.assert_close(votes[1, 2, 3], poses[1, 2] @ weight[2, :, 3])
