"""Random transforms of training images, each an object with `draw` and `apply`; `Augmentation` holds lists of them."""

from capsnet.data.transforms.augmentation import Augmentation as Augmentation
from capsnet.data.transforms.brightness import Brightness as Brightness
from capsnet.data.transforms.contrast import Contrast as Contrast
from capsnet.data.transforms.crop import Crop as Crop
from capsnet.data.transforms.erase import Erase as Erase
from capsnet.data.transforms.flip import Flip as Flip
from capsnet.data.transforms.place import Place as Place
from capsnet.data.transforms.random import Distribution as Distribution
from capsnet.data.transforms.rotate import Rotate as Rotate
from capsnet.data.transforms.shift import Shift as Shift
from capsnet.data.transforms.squeeze import Squeeze as Squeeze
from capsnet.data.transforms.transform import Draws as Draws
from capsnet.data.transforms.transform import Transform as Transform

__all__ = [
    "Augmentation",
    "Brightness",
    "Contrast",
    "Crop",
    "Distribution",
    "Draws",
    "Erase",
    "Flip",
    "Place",
    "Rotate",
    "Shift",
    "Squeeze",
    "Transform",
]
