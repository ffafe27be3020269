"""Status line of a command: on a terminal, it changes in place and disappears at the end."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType


class Stages:
    """Shows stages such as `testing` or `drawing 3 of 24`, on standard error.

    On a terminal, the current stage is shown beside a spinner and then erased; elsewhere, only stages with `log` are
    printed, one per line.

    Example:
        >>> with Stages() as stages:
        ...     stages.show("testing on 10,000 images", log=True)
    """

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        # rich would need ipywidgets in a notebook
        live = self._console.is_terminal and not self._console.is_jupyter
        self._status = self._console.status("") if live else None
        self._text = ""

    def __enter__(self) -> "Stages":
        return self

    def __exit__(
        self, fault_type: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            # the terminal may be closed
            with suppress(OSError):
                self._status.stop()

    def show(self, text: str, *, log: bool = False) -> None:
        """Show a stage.

        Args:
            text: in a few words.
            log: print it even without a terminal.
        """
        with suppress(OSError):
            if self._status is not None:
                self._status.update(text)
                # started here: a command without stages shows nothing
                self._status.start()
            elif log and text != self._text:
                self._console.print(f"capsnet: {text}")
        self._text = text


@contextmanager
def stage(text: str, *, log: bool = False) -> Iterator[None]:
    """Show one stage while the block runs."""
    with Stages() as stages:
        stages.show(text, log=log)
        yield
