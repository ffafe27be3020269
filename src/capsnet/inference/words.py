"""The name of a class's score: length, share or activation."""

from capsnet.models import CapsuleModel
from capsnet.routing import Routing

_WORDS = {"likelihood": "share", "cross-entropy": "share", "spread": "activation"}


def length_word(model: CapsuleModel) -> str:
    """`"length"`; `"share"` if the classes' activations sum to one; `"activation"` if they are logistic.

    The model's loss decides: shares are trained by their likelihood, or are the softmax of the logits of a network
    without capsules; activations are trained by the spread loss. With another loss the routing of the class capsules
    decides.
    """
    routings = [module for module in model.modules() if isinstance(module, Routing)]
    return _WORDS.get(model.loss) or (routings[-1].activation_word if routings else "length")
