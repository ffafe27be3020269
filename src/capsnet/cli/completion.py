"""`capsnet completion`."""

from dataclasses import dataclass
from typing import Literal

import tyro

from capsnet.cli.parse import parse
from capsnet.cli.shells import SCRIPTS
from capsnet.cli.words import read_verbs


@dataclass(frozen=True)
class Completion:
    """Print a shell script that completes commands, options, runs, and names of models, data sets and recipes.

    The script contains all names, which keeps completion fast. Print it again after an upgrade, then open a new shell.

    Examples:
      capsnet completion bash > ~/.local/share/bash-completion/completions/capsnet
      capsnet completion zsh > "${fpath[1]}/_capsnet"
      capsnet completion fish > ~/.config/fish/completions/capsnet.fish
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]
    """Your shell."""


def main(args: list[str]) -> None:
    """Print the script."""
    print(SCRIPTS[parse(Completion, args).shell](read_verbs()), end="")
