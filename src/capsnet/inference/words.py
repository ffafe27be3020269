"""The name of a class's score: length, share or activation."""

from capsnet.models import CapsuleModel

_WORDS = {"likelihood": "share", "spread": "activation"}


def length_word(model: CapsuleModel) -> str:
    """`"length"`; `"share"` if the classes' activations sum to one; `"activation"` if they are logistic.

    The model's loss decides: shares are trained by their likelihood, activations by the spread loss.
    """
    return _WORDS.get(model.loss, "length")
