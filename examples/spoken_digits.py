"""Recognise spoken digits: spectrograms of different lengths, capsules over time, a plain training loop.

Clone https://github.com/Jakobovski/free-spoken-digit-dataset to DATA/free-spoken-digits, then:

    python examples/spoken_digits.py DATA --save digits.safetensors --figure couplings.png
    python examples/spoken_digits.py DATA --model sequence-cnn
    capsnet predict digits.safetensors my-recording.wav
"""

import argparse
from pathlib import Path

import torch

from capsnet.data.free_spoken_digits import load_free_spoken_digits
from capsnet.data.sequences import SequenceData
from capsnet.figures.sequence import draw_couplings
from capsnet.figures.style import to_png
from capsnet.losses.class_loss import class_loss
from capsnet.models import SequenceModel, create_sequence_model


def train(model: SequenceModel, data: SequenceData, epochs: int, lr: float = 3e-3, seed: int = 0) -> None:
    """Learn from all recordings, in batches of similar lengths."""
    model.train()
    random = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for epoch in range(epochs):
        total = 0.0
        for batch in data.batches(32, random):
            output = model(batch.sequences, batch.lengths)  # padding has no influence
            loss = class_loss(model.loss, output, batch.labels).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch + 1}: loss {total / len(data):.3f}")


@torch.no_grad()
def accuracy(model: SequenceModel, data: SequenceData) -> float:
    """The fraction of recordings that are classified correctly."""
    model.eval()
    correct = 0
    for batch in data.batches(100):
        correct += int((model(batch.sequences, batch.lengths).lengths.argmax(dim=1) == batch.labels).sum())
    return correct / len(data)


def main(
    data_dir: Path | None = None,
    *,
    model: str = "sequence-capsnet",
    epochs: int = 6,
    save: Path | None = None,
    figure: Path | None = None,
) -> float:
    """Train, test once, and return the accuracy on the official test recordings."""
    torch.manual_seed(0)
    train_data, test_data = load_free_spoken_digits(data_dir)
    network = create_sequence_model(model, in_channels=train_data.sequences.shape[1], num_classes=10)
    network.class_names, network.preparation = train_data.class_names, train_data.preparation
    train(network, train_data, epochs)
    result = accuracy(network, test_data)
    print(f"test accuracy {result:.3f} on {len(test_data)} recordings")
    if save is not None:
        network.save(save)
    if figure is not None:
        names = [f"spoken: {label}" for label in test_data.labels.tolist()]
        spectrograms = [
            one[:, :steps] for one, steps in zip(test_data.sequences, test_data.lengths.tolist(), strict=True)
        ]
        figure.write_bytes(to_png(draw_couplings(network, spectrograms, names)))
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder that holds free-spoken-digits/")
    parser.add_argument("--model", default="sequence-capsnet")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    main(options.data, model=options.model, epochs=options.epochs, save=options.save, figure=options.figure)
