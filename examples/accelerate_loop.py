"""A model of this package in a loop of Accelerate, on one process or many.

Run it: pip install accelerate; python examples/accelerate_loop.py [EPOCHS]
On several processes: accelerate launch examples/accelerate_loop.py
"""

import sys

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

import capsnet
from capsnet.losses import margin_loss


def main(epochs: int = 5, images: int = 0, device: str = "cpu") -> float:
    """Train, and return the accuracy on test images; with `images` above 0, train on that number only."""
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=device == "cpu")
    digits = capsnet.data.load_data("digits")
    train, test = (TensorDataset(part.images / 255, part.labels) for part in (digits.train, digits.test))
    train = torch.utils.data.Subset(train, range(images or len(train)))
    model = capsnet.create_model("capsnet-tiny", decoder=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model, optimizer, batches, test_batches = accelerator.prepare(
        model, optimizer, DataLoader(train, batch_size=32, shuffle=True), DataLoader(test, batch_size=64)
    )
    for _ in range(epochs):
        model.train()
        for pixels, labels in batches:
            optimizer.zero_grad()
            accelerator.backward(margin_loss(model(pixels).lengths, labels))
            optimizer.step()
    model.eval()
    correct = []
    for pixels, labels in test_batches:
        with torch.no_grad():
            predicted = model(pixels).lengths.argmax(dim=1)
        # leaves out the images that were repeated to fill the last batch
        predicted, labels = accelerator.gather_for_metrics((predicted, labels))
        correct.append(predicted == labels)
    accuracy = torch.cat(correct).float().mean().item()
    accelerator.print(f"test accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
