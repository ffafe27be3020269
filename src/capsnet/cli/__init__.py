"""The command line: `capsnet VERB ...`, one file per verb, loaded when it is called."""

import contextlib
import errno
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence

from capsnet._version import __version__
from capsnet.cli.flags import in_flags
from capsnet.errors import UserError
from capsnet.registry import suggest
from capsnet.start import keeping_modules, quitting_on_interrupt, return_memory

# what the machine refuses, not a fault of ours: a read-only or full disk, missing rights, a name that cannot be, a
# terminal that has gone
_REFUSED = frozenset(
    (
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EACCES,
        errno.EPERM,
        errno.EIO,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.EBUSY,
        errno.ESTALE,
        errno.EMFILE,
        errno.ENFILE,
    )
)

VERBS = {
    "train": "train a network by a recipe, or on a folder of your own images",
    "evaluate": "test a trained network on a data set or folder",
    "predict": "classify image files",
    "analyse": "measure routing, robustness and mistakes of a run",
    "figures": "draw a run's figures",
    "report": "write a run's report.html",
    "reproduce": "reproduce a paper's table: a study of several runs",
    "list": "list models, routings, data, recipes, studies",
    "show": "show a model, recipe, study, data set, routing or run",
    "export": "write a network for other programs: ONNX, PyTorch, a web page",
    "bench": "measure speed and memory of the plain and fused paths",
    "data": "check a data set or folder: counts, sizes, copies, samples",
    "demo": "open a page to draw digits and look into capsules",
    "import-keras": "make a run of CapsNet-Keras or Efficient-CapsNet weights",
    "doctor": "check this machine: device, kernels, data, optional packages",
    "completion": "print the script that completes commands in your shell",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        argv: the words behind `capsnet`. None: this process is the command. Its words are those of `sys.argv`, and its
            signals, garbage collector and memory allocator are set up for it (`capsnet.start`).

    Returns:
        Exit status: 0 done, 2 a fault of the user's, 1 a fault of ours, 130 interrupted.
    """
    _print_any_name()
    try:
        status = _call([*(sys.argv[1:] if argv is None else argv)], is_command=argv is None)
        # what the disk or the reader refuses is known only now
        sys.stdout.flush()
        return status
    except UserError as fault:
        return _end(str(fault), 2)
    except KeyboardInterrupt as stop:
        return _end(str(stop) or "interrupted", 130)
    except BrokenPipeError:
        # the reader, `head` for instance, has seen enough
        sys.stderr.close()
        return 0
    except OSError as fault:
        if fault.errno in _REFUSED:
            name = "" if fault.filename is None else f"{os.fsdecode(fault.filename)}: "
            return _end(f"{name}{fault.strerror}", 2)
        return _end_by_a_fault()
    except Exception:
        return _end_by_a_fault()


def _call(words: Sequence[str], *, is_command: bool) -> int:
    # not list(...): the verb of that name is a module here
    verb, *args = words or ["--help"]
    if verb == "help" and args:
        verb, args = args[0], ["--help"]
    if verb in ("-h", "--help", "help"):
        print(_help())
        return 0
    if verb in ("-V", "--version"):
        print(f"capsnet {__version__}")
        return 0
    if verb not in VERBS:
        raise UserError(f"unknown command {verb!r}{suggest(verb, [*VERBS, '--help', '--version'])}")
    with contextlib.ExitStack() as stack:
        if is_command:
            return_memory()
            stack.enter_context(quitting_on_interrupt())
            stack.enter_context(keeping_modules())
        module = importlib.import_module(f"capsnet.cli.{verb.replace('-', '_')}")
    try:
        return module.main(args) or 0
    except UserError as fault:
        # a module of a verb holds its options under the verb's name
        options: type = getattr(module, verb.title().replace("-", ""))
        raise UserError(in_flags(str(fault), options)) from None


def _print_any_name() -> None:
    """Let the names of files be printed as they are, also those that are not UTF-8."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


def _end(line: str, status: int) -> int:
    # of the processes that torchrun started, the first one reports what concerns all
    rank = os.environ.get("RANK", "0")
    if rank != "0":
        line = f"process {rank}: {line}"
    if rank != "0" and status == 130:
        return status
    # the terminal may have gone
    with contextlib.suppress(OSError):
        print(f"capsnet: {line}", file=sys.stderr, flush=True)
    _drop_output()
    return status


def _end_by_a_fault() -> int:
    with contextlib.suppress(OSError):
        traceback.print_exc()
    return _end("this is a fault of capsnet's, not yours; please report the lines above", 1)


def _drop_output() -> None:
    """Where standard output refuses what was printed, drop it: Python would try again at its end, and complain."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _help() -> str:
    verbs = "\n".join(f"  {verb:12} {line}" for verb, line in VERBS.items())
    return f"""usage: capsnet VERB [options]     capsnet VERB --help lists its options

{verbs}

  capsnet train                          the quick start: the paper's network on embedded digits, in minutes
  capsnet predict runs/quickstart 7.png  classify an image of your own"""
