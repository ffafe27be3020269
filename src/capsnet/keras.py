"""Capsule layers for Keras 3, under the names used in CapsNet-Keras; see `capsnet.interop.keras`."""

from capsnet.interop.keras import CapsuleLayer as CapsuleLayer
from capsnet.interop.keras import Length as Length
from capsnet.interop.keras import Mask as Mask
from capsnet.interop.keras import PrimaryCap as PrimaryCap
from capsnet.interop.keras import Squash as Squash
from capsnet.interop.keras import margin_loss as margin_loss
from capsnet.interop.keras import squash as squash
