"""Options of CapsNet-Keras, and what replaces them here."""

import re
from collections.abc import Collection

_WEIGHTS = (
    "capsnet evaluate RUN to test, capsnet train --resume RUN to continue; capsnet import-keras FILE RUN converts "
    "an .h5 file"
)
_TEST = (
    "capsnet evaluate RUN to test, capsnet figures RUN manipulate --digit N to draw; capsnet import-keras FILE RUN "
    "converts an .h5 file"
)
KERAS_OPTIONS = {
    "num-routing": "--iterations N",
    "routings": "--iterations N",
    "r": "--iterations N",
    "lam-recon": "--recon-weight X, where X is lam_recon divided by the number of pixels: 0.392 becomes 0.0005, "
    "0.0005 becomes 6.378e-7 (784 pixels)",
    "shift-fraction": "--shift N, in whole pixels: 0.1 of 28 pixels becomes 2",
    "save-dir": "--out FOLDER",
    "debug": "--tensorboard",
    "weights": _WEIGHTS,
    "w": _WEIGHTS,
    "is-training": _TEST,
    "testing": _TEST,
    "t": _TEST,
    "digit": "capsnet figures RUN manipulate --digit N",
    "gpus": "torchrun --nproc-per-node N -m capsnet train RECIPE",
}
"""The options, written with hyphens, and what replaces them."""

# options here that take over a number, and the options of CapsNet-Keras that give it
_NUMBERED = {"--iterations": "-r|--routings|--num[_-]routing", "--digit": "--digit", "--nproc-per-node": "--gpus"}
REPLACED = "is an option of CapsNet-Keras; use"
"""The words of such a message."""


def find_replacement(word: str, message: str, verb: str, options: Collection[str]) -> str | None:
    """The message that says what replaces an option of CapsNet-Keras; None: it is none, or nothing for this verb.

    Args:
        word: the unknown option.
        message: of tyro, which names all unknown options with their values.
        verb: of the command.
        options: that the verb has, with underscores.
    """
    name = word.partition("=")[0]
    replacement = KERAS_OPTIONS.get(name.lstrip("-").replace("_", "-"))
    if replacement is None or not _is_for(replacement, verb, options):
        return None
    # suggest `--iterations 1` for `--num_routing 1`
    for here, there in _NUMBERED.items():
        value = re.search(rf"(?<![\w-])(?:{there})[,= ]+(\d+)", message)
        if value:
            replacement = replacement.replace(f"{here} N", f"{here} {value[1]}")
    return f"{name} {REPLACED} {replacement}"


def _is_for(replacement: str, verb: str, options: Collection[str]) -> bool:
    """Whether the verb has the option, or is one of those that a replacement by other commands names."""
    if replacement.startswith("--"):
        return replacement.split()[0].removeprefix("--").replace("-", "_") in options
    return verb == "train" or f"capsnet {verb}" in replacement
