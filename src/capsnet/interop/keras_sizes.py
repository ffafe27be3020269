"""The fixed sizes in the scripts of CapsNet-Keras and Efficient-CapsNet, and where a network has others.

github.com/XifengGuo/CapsNet-Keras, 9d7e641, capsulenet.py; github.com/EscVM/Efficient-CapsNet, 4b337f5, models.
"""

from collections.abc import Sequence

from capsnet.models.factory import own_option
from capsnet.runs.weights import ModelSpec

# by the names of a model's arguments
_WORDS = {
    "image_shape": "images (channels, height, width)",
    "num_classes": "classes",
    "stem_channels": "channels of the first convolution",
    "kernel_size": "window side of the convolutions",
    "padding": "padding of the convolutions",
    "kernel_sizes": "window sides of the four convolutions",
    "strides": "strides of the four convolutions",
    "norm": "normalisation",
    "primary_kernel": "window side of the depthwise convolution",
    "primary_stride": "stride of the depthwise convolution",
    "num_types": "types of primary capsules",
    "child_dim": "dimensions of a primary capsule",
    "parent_dim": "dimensions of a class capsule",
    "decoder": "decoder",
    "decoder_hidden": "hidden layers of the decoder",
}


def describe_changes(spec: ModelSpec) -> list[str]:
    """The line that names what must be changed in a script before it loads this network; empty if nothing must.

    Args:
        spec: a network of CapsNet or Efficient-CapsNet.
    """
    # each preset of Efficient-CapsNet is one of its networks; of CapsNet only the largest is
    script = spec.model if spec.model.startswith("efficient-capsnet") else "capsnet"
    changes = []
    for option, words in _WORDS.items():
        theirs, here = own_option(script, option), own_option(spec.model, option, spec.options)
        if _as_tuple(theirs) != _as_tuple(here):
            changes.append(f"{words}: {_show(here)}, there {_show(theirs)}")
    return [f"before that, change these sizes in its script: {'; '.join(changes)}"] if changes else []


def _as_tuple(value: object) -> object:
    # files hold lists
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _show(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
