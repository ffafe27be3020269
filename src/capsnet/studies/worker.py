"""A worker process for one run of a study: `python -m capsnet.studies.worker` reads it from standard input."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

from capsnet.errors import UserError
from capsnet.runs.config import RunConfig
from capsnet.start import return_memory
from capsnet.studies.run_task import run_task


def main() -> int:
    """Train the run that one line of JSON on standard input describes; exit status as of the command line."""
    return_memory()
    order = json.loads(sys.stdin.readline())
    # the run records the user's command
    sys.argv = order["command"]
    threading.Thread(target=_watch_parent, daemon=True).start()
    try:
        run_task(Path(order["folder"]), RunConfig.from_json(order["config"]), tuple(order["stages"]))
    except UserError as fault:
        print(f"capsnet: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"capsnet: {str(stop) or 'interrupted'}", file=sys.stderr)
        return 130
    return 0


def _watch_parent() -> None:
    """Stop and save the state when the parent process ends."""
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # the watching thread blocks in a read and cannot be joined
    os._exit(status)
