"""Capsule layers for Keras 3, and the network of CapsNet-Keras, under the names used there.

See `capsnet.interop.keras` and `capsnet.interop.keras_script`.
"""

from capsnet.interop.keras import CapsuleLayer as CapsuleLayer
from capsnet.interop.keras import Length as Length
from capsnet.interop.keras import Mask as Mask
from capsnet.interop.keras import PrimaryCap as PrimaryCap
from capsnet.interop.keras import Squash as Squash
from capsnet.interop.keras import margin_loss as margin_loss
from capsnet.interop.keras import squash as squash
from capsnet.interop.keras_script import CapsNet as CapsNet
from capsnet.interop.keras_script import combine_images as combine_images
from capsnet.interop.keras_script import load_arrays as load_arrays
from capsnet.interop.keras_script import perturbations as perturbations
from capsnet.interop.keras_script import plot_log as plot_log
from capsnet.interop.keras_script import save_images as save_images
from capsnet.interop.keras_script import shifted_batches as shifted_batches
