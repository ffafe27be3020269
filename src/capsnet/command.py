"""The command `capsnet`, which Ctrl-C ends quietly from its first moment on."""

import signal


def main() -> int:
    """Run the command line.

    Until `capsnet.cli` sets up signals there is nothing to save: Ctrl-C ends the process at once, without the traceback
    that an interrupted import prints. If the signal has a handler already, or is ignored, nothing changes.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from capsnet.cli import main as call

    return call()
