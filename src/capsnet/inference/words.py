"""What the number of a class is called: the length of its capsule, or what a routing gives in its place."""

from capsnet.models import CapsuleModel

_WORDS = {"likelihood": "share", "spread": "activation"}


def length_word(model: CapsuleModel) -> str:
    """`"length"`; `"share"` where the classes' activations sum to one; `"activation"` where they are logistic.

    The loss of the model tells them apart: shares are trained by their likelihood, activations by the spread loss.
    """
    return _WORDS.get(model.loss, "length")
