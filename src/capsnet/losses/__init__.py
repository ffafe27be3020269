"""Losses, one file each."""

from capsnet.losses.margin import margin_loss as margin_loss
from capsnet.losses.reconstruction import reconstruction_loss as reconstruction_loss

__all__ = ["margin_loss", "reconstruction_loss"]
