"""The command line: `capsnet VERB ...`, one file per verb, imported on demand."""

import errno
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence

from capsnet._version import __version__
from capsnet.cli.importing import as_command, importing
from capsnet.cli.streams import drop_output, is_reader_gone, open_streams
from capsnet.errors import UserError
from capsnet.processors import limit_threads
from capsnet.registry import suggest
from capsnet.start import return_memory

# errors of the machine, not bugs: a read-only or full disk, missing permissions, an impossible file name, a closed
# terminal, a file where a folder is to be
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
        errno.EEXIST,
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
    "reproduce": "reproduce a paper's table by training its runs",
    "sweep": "train a grid of options with several seeds, ranked on validation",
    "list": "list models, routings, data, recipes, studies",
    "show": "show a model, recipe, study, data set, routing or run",
    "export": "export a network: ONNX, PyTorch, Keras, a web page",
    "bench": "measure speed and memory of the plain and fused paths",
    "data": "check a data set or folder: counts, sizes, duplicates, samples",
    "demo": "open a web page to draw digits and inspect capsules",
    "import-keras": "convert CapsNet-Keras or Efficient-CapsNet weights",
    "doctor": "check this machine: device, kernels, data, optional packages",
    "completion": "print the script that completes commands in your shell",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        argv: the arguments after `capsnet`. None: this process is the command; the arguments come from `sys.argv`, and
            signals, garbage collector and memory allocator are set up (`capsnet.start`).

    Returns:
        Exit status: 0: done; 1: internal error; 2: usage error; 130: interrupted.
    """
    with open_streams():
        return _run([*(sys.argv[1:] if argv is None else argv)], is_command=argv is None)


def _run(arguments: Sequence[str], *, is_command: bool) -> int:
    _print_any_name()
    try:
        status = _call(arguments, is_command=is_command)
        # errors of the disk or the pipe appear only now
        sys.stdout.flush()
        return status
    except UserError as fault:
        return _end(str(fault), 2)
    except KeyboardInterrupt as stop:
        return _end(str(stop) or "interrupted", 130)
    except BrokenPipeError:
        # another pipe than standard output, whose reader, `head` for instance, may have enough
        if not is_reader_gone():
            return _end_with_traceback()
        drop_output(sys.stdout)
        return 0
    except OSError as fault:
        if fault.errno in _REFUSED:
            name = "" if fault.filename is None else f"{os.fsdecode(fault.filename)}: "
            return _end(f"{name}{fault.strerror}", 2)
        return _end_with_traceback()
    except Exception:
        return _end_with_traceback()


def _call(arguments: Sequence[str], *, is_command: bool) -> int:
    # not list(...): here, `list` is the module of that verb
    verb, *args = arguments or ["--help"]
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
    if is_command:
        return_memory()
        limit_threads()
    with as_command(is_command=is_command):
        return _call_verb(verb, args)


def _call_verb(verb: str, args: Sequence[str]) -> int:
    with importing():
        module = importlib.import_module(f"capsnet.cli.{verb.replace('-', '_')}")
    try:
        return module.main(args) or 0
    except UserError as fault:
        # imported late: `capsnet --help` needs no parser
        from capsnet.cli.flags import in_flags

        # the module of a verb names the dataclass of its options after the verb
        options: type = getattr(module, verb.title().replace("-", ""))
        raise UserError(in_flags(str(fault), options, args)) from None


def _print_any_name() -> None:
    """Allow any file name in the output, even one that is not UTF-8."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


def _end(line: str, status: int) -> int:
    # under torchrun, rank 0 reports errors that all processes share
    rank = os.environ.get("RANK", "0")
    if rank != "0":
        line = f"process {rank}: {line}"
    if rank != "0" and status == 130:
        return status
    print(f"capsnet: {line}", file=sys.stderr, flush=True)
    drop_output(sys.stdout)
    return status


def _end_with_traceback() -> int:
    traceback.print_exc()
    return _end("this is a bug in capsnet; please report the lines above", 1)


def _help() -> str:
    verbs = "\n".join(f"  {verb:12} {line}" for verb, line in VERBS.items())
    return f"""usage: capsnet VERB [options]     capsnet VERB --help lists its options

{verbs}

  capsnet train                          the paper's network on 8x8 digits
  capsnet predict runs/quickstart 7.png  classify an image"""
