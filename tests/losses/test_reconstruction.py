import torch

from capsnet.losses import reconstruction_loss


def test_loss_is_the_sum_over_pixels_and_the_mean_over_images():
    images = torch.zeros(2, 1, 2, 2)
    drawn = torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 2.0]]]])
    torch.testing.assert_close(reconstruction_loss(drawn, images, reduction="none"), torch.tensor([1.25, 4.0]))
    torch.testing.assert_close(reconstruction_loss(drawn, images), torch.tensor(2.625))


def test_paper_weight_is_0_392_times_the_mean_squared_error():
    drawn, images = torch.rand(3, 1, 28, 28), torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(
        0.0005 * reconstruction_loss(drawn, images), 0.392 * torch.nn.functional.mse_loss(drawn, images)
    )
