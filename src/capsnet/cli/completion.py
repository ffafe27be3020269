"""`capsnet completion`."""

from dataclasses import dataclass
from typing import Literal

import tyro

from capsnet.cli.parse import parse
from capsnet.cli.shells import SCRIPTS
from capsnet.cli.words import read_verbs


@dataclass(frozen=True)
class Completion:
    """Print a script that lets the shell complete commands, options, names of models, data, recipes, and runs.

    The script holds all words, so that completing is quick; after an upgrade print it again. Open a new shell then.

    Examples:
      capsnet completion bash > ~/.local/share/bash-completion/completions/capsnet
      capsnet completion zsh > "${fpath[1]}/_capsnet"
      capsnet completion fish > ~/.config/fish/completions/capsnet.fish
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]
    """Which shell reads it."""


def main(args: list[str]) -> None:
    """Print the script."""
    print(SCRIPTS[parse(Completion, args).shell](read_verbs()), end="")
