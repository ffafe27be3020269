"""Layers of capsules, and the decoder."""

from capsnet.layers.decoder import Decoder as Decoder
from capsnet.layers.dense import DenseCapsules as DenseCapsules
from capsnet.layers.primary import PrimaryCapsules as PrimaryCapsules

__all__ = ["Decoder", "DenseCapsules", "PrimaryCapsules"]
