"""Losses, one file each."""

from capsnet.losses.likelihood import activation_nll_loss as activation_nll_loss
from capsnet.losses.likelihood import cross_entropy_loss as cross_entropy_loss
from capsnet.losses.margin import margin_loss as margin_loss
from capsnet.losses.reconstruction import reconstruction_loss as reconstruction_loss
from capsnet.losses.spread import spread_loss as spread_loss
from capsnet.losses.spread import spread_margin as spread_margin

__all__ = [
    "activation_nll_loss",
    "cross_entropy_loss",
    "margin_loss",
    "reconstruction_loss",
    "spread_loss",
    "spread_margin",
]
