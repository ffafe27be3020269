"""A model of this package trained by Lightning, with its Trainer's own flags.

Run it: pip install 'capsnet[lightning]'; python examples/lightning_trainer.py [EPOCHS]
"""

import sys

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from capsnet.data import load_data
from capsnet.lightning import CapsuleModule


def main(epochs: int = 5, batches: int | None = None) -> float:
    """Train, and return the accuracy on test images; `batches` ends an epoch early."""
    torch.manual_seed(0)
    digits = load_data("digits")
    # uint8 images, as they are stored: the module brings them to [0, 1]
    train, test = (TensorDataset(part.images, part.labels) for part in (digits.train, digits.test))
    module = CapsuleModule("capsnet-tiny", lr=3e-3)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        gradient_clip_val=1.0,
        limit_train_batches=batches,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(train, batch_size=32, shuffle=True), DataLoader(test, batch_size=359))
    accuracy = float(trainer.callback_metrics["val_accuracy"])
    print(f"test accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
