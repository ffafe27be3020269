"""The command line: `capsnet VERB ...`, one file per verb, loaded when it is called."""

import importlib
import sys
import traceback
from collections.abc import Sequence

from capsnet._version import __version__
from capsnet.errors import UserError
from capsnet.registry import did_you_mean
from capsnet.start import collecting_later, exit_quickly

VERBS = {
    "train": "train a network by a recipe, or on a folder of your own images",
    "evaluate": "test a trained network on a data set",
    "predict": "say what is on image files",
    "analyse": "measure how a run routes, what breaks it, and where it errs",
    "figures": "draw a run's figures",
    "report": "write a run's report.html",
    "reproduce": "fill a paper's table: a study of several runs",
    "list": "list models, routings, data, recipes, studies",
    "show": "show a model, recipe, study, data set, routing or run",
    "bench": "measure this machine: plain and fused paths, and its limits",
    "data": "count and show the images of a data set",
    "demo": "open a page on which digits are drawn and capsules looked into",
    "doctor": "say what was found on this machine, and what is missing",
    "completion": "let the shell complete commands, options and names",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb.

    Returns:
        Exit status: 0 done, 2 a fault of the user's, 1 a fault of ours, 130 interrupted.
    """
    exit_quickly()
    # not list(...): the verb of that name is a module here
    verb, *args = [*(sys.argv[1:] if argv is None else argv)] or ["--help"]
    if verb == "help" and args:
        verb, args = args[0], ["--help"]
    if verb in ("-h", "--help", "help"):
        print(_help())
        return 0
    if verb in ("-V", "--version"):
        print(f"capsnet {__version__}")
        return 0
    try:
        if verb not in VERBS:
            hint = did_you_mean(verb, [*VERBS, "--help", "--version"])
            raise UserError(f"unknown command {verb!r};{hint} Known: {', '.join(VERBS)}")
        with collecting_later():
            module = importlib.import_module(f"capsnet.cli.{verb}")
        return module.main(args) or 0
    except UserError as fault:
        print(f"capsnet: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"capsnet: {str(stop) or 'interrupted'}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader, `head` for instance, has seen enough
        sys.stderr.close()
        return 0
    except Exception:
        traceback.print_exc()
        print("capsnet: this is a fault of capsnet's, not yours; please report the lines above", file=sys.stderr)
        return 1


def _help() -> str:
    verbs = "\n".join(f"  {verb:10} {line}" for verb, line in VERBS.items())
    return f"""usage: capsnet VERB [options]     capsnet VERB --help says more

{verbs}

  capsnet train                          the quick start: the paper's network on embedded digits, in minutes
  capsnet predict runs/quickstart 7.png  what is on an image of yours"""
