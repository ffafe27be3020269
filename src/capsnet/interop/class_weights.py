"""Class weights in the form of scikit-learn, as weights by which training images are drawn."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from sklearn.utils import compute_class_weight
from torch import Tensor

from capsnet.errors import UserError

ClassWeight = Mapping[object, float] | str | None
"""None; `"balanced"`; or a weight for each class."""


def find_weights(
    class_weight: ClassWeight, classes: NDArray[Any], labels: Int[Tensor, " m"]
) -> Float[Tensor, " n"] | None:
    """The weight of each class; None if all weigh the same.

    Args:
        class_weight: as scikit-learn takes it.
        classes: names of the classes.
        labels: classes of the training images, as positions in `classes`.

    Shapes:
        classes and result `n`, labels `m`.

    Raises:
        UserError: weights below 0 or not finite, or 0 for all of these images.
    """
    if class_weight is None:
        return None
    names: NDArray[Any] = classes[labels.numpy()]
    weights = torch.from_numpy(np.asarray(compute_class_weight(class_weight, classes=classes, y=names), np.float64))
    if not bool(weights.isfinite().all()) or bool((weights < 0).any()) or not bool(weights[labels].any()):
        raise UserError(f"class_weight must be numbers of at least 0, and not 0 for all classes, got {class_weight}")
    return weights
