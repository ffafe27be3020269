"""`capsnet demo`."""

import os
import signal
import sys
import threading
import webbrowser
from dataclasses import dataclass

import tyro

from capsnet.cli.parse import parse
from capsnet.errors import UserError


@dataclass(frozen=True)
class Demo:
    """Open a web page to draw a digit and watch the capsules classify it.

    The page is served to this computer only. Drawings and uploads stay on it and are not saved.

    Examples:
      capsnet demo
      capsnet demo runs/quickstart runs/photos --port 8000 --no-browser
    """

    models: tyro.conf.Positional[tuple[str, ...]] = ()
    """Run folders, weights files or names of trained networks; none: the bundled models."""
    port: int = 0
    """Port of the page; 0: the first free port from 7860."""
    browser: bool = True
    """Open the page in the browser, or only print its address."""


def main(args: list[str]) -> None:
    """Serve the page until interrupted."""
    options = parse(Demo, args)
    if not 0 <= options.port < 65536:
        raise UserError(f"--port must be 0 to 65535, got {options.port}")
    from capsnet.demo.gallery import Gallery, find_sources
    from capsnet.demo.page import serving

    gallery = Gallery(list(dict.fromkeys(options.models)) or find_sources())
    ended = threading.Event()
    with serving(gallery, port=options.port) as address:
        # on SIGTERM, too, the temporary folder is removed
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
        print(f"{address}  networks: {', '.join(gallery.names)}; press Ctrl-C to stop", flush=True)
        if options.browser and has_screen():
            webbrowser.open(address)
        try:
            ended.wait()
        except KeyboardInterrupt:
            print()


def has_screen() -> bool:
    """Whether a graphical browser can open: without a display, a text browser would take over the terminal."""
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
