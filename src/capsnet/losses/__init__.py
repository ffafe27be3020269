"""Losses, one file each: a function, and a module registered in `LOSSES` under the name in a model's `loss`."""

from capsnet.losses.base import LOSSES as LOSSES
from capsnet.losses.base import Loss as Loss
from capsnet.losses.dice import DiceLoss as DiceLoss
from capsnet.losses.dice import dice_loss as dice_loss
from capsnet.losses.likelihood import CrossEntropyLoss as CrossEntropyLoss
from capsnet.losses.likelihood import LengthCrossEntropyLoss as LengthCrossEntropyLoss
from capsnet.losses.likelihood import LikelihoodLoss as LikelihoodLoss
from capsnet.losses.likelihood import activation_nll_loss as activation_nll_loss
from capsnet.losses.likelihood import cross_entropy_loss as cross_entropy_loss
from capsnet.losses.margin import MarginLoss as MarginLoss
from capsnet.losses.margin import margin_loss as margin_loss
from capsnet.losses.pixel_margin import PixelMarginLoss as PixelMarginLoss
from capsnet.losses.pixel_margin import pixel_margin_loss as pixel_margin_loss
from capsnet.losses.reconstruction import reconstruction_loss as reconstruction_loss
from capsnet.losses.sampled_softmax import draw_negatives as draw_negatives
from capsnet.losses.sampled_softmax import sampled_softmax_loss as sampled_softmax_loss
from capsnet.losses.spread import SpreadLoss as SpreadLoss
from capsnet.losses.spread import spread_loss as spread_loss
from capsnet.losses.spread import spread_margin as spread_margin
from capsnet.registry import import_modules

import_modules(__name__)

__all__ = [
    "CrossEntropyLoss",
    "DiceLoss",
    "LOSSES",
    "LengthCrossEntropyLoss",
    "LikelihoodLoss",
    "Loss",
    "MarginLoss",
    "PixelMarginLoss",
    "SpreadLoss",
    "activation_nll_loss",
    "cross_entropy_loss",
    "dice_loss",
    "draw_negatives",
    "margin_loss",
    "pixel_margin_loss",
    "reconstruction_loss",
    "sampled_softmax_loss",
    "spread_loss",
    "spread_margin",
]
