"""Capsule layers in your own network, trained by a plain torch loop.

Run it: python examples/plain_torch_loop.py [EPOCHS]
"""

import sys

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from capsnet import Capsules
from capsnet.data import load_data
from capsnet.layers import Decoder, DenseCapsules, PrimaryCapsules
from capsnet.losses import margin_loss, reconstruction_loss


class DigitNet(nn.Module):
    """Two small convolutions of torch, capsules behind them, and a decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU()
        )  # b 32 10 10
        self.primary = PrimaryCapsules(32, 8, pose_dim=8, kernel_size=3)  # 4 x 4 places, 8 types
        self.classes = DenseCapsules(4 * 4 * 8, 10, child_dim=8, parent_dim=16, routing="dynamic")
        self.decoder = Decoder(10, 16, (1, 28, 28), hidden=(64, 128))

    def forward(self, images: Tensor) -> Capsules:
        routed = self.classes(self.primary(self.stem(images)))
        return Capsules(routed.poses, routed.activations)


def main(epochs: int = 5, images: int = 0) -> float:
    """Train, and return the accuracy on test images; with `images` above 0, train on that number only."""
    torch.manual_seed(0)
    digits = load_data("digits")
    train, test = (TensorDataset(part.images / 255, part.labels) for part in (digits.train, digits.test))
    train = torch.utils.data.Subset(train, range(images or len(train)))
    network = DigitNet()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for epoch in range(epochs):
        network.train()
        for pixels, labels in DataLoader(train, batch_size=32, shuffle=True):
            capsules = network(pixels)
            loss = margin_loss(capsules.activations, labels)
            loss = loss + 0.0005 * reconstruction_loss(network.decoder(capsules.poses, labels), pixels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            pixels, labels = test[:]
            accuracy = (network(pixels).activations.argmax(dim=1) == labels).float().mean().item()
        print(f"epoch {epoch + 1}: test accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
