"""What a command is at when it does not train: a line on a terminal that changes in place, and goes when it is done."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType


class Stages:
    """Shows stages such as `testing` or `drawing 3 of 24`, on standard error.

    On a terminal the present one stands behind a spinner and leaves nothing; elsewhere only stages with `log` are
    printed, a line each.

    Example:
        >>> with Stages() as stages:
        ...     stages.show("testing on 10,000 images", log=True)
    """

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        # rich would want ipywidgets in a notebook
        live = self._console.is_terminal and not self._console.is_jupyter
        self._status = self._console.status("") if live else None
        self._shown = ""

    def __enter__(self) -> "Stages":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            # the terminal may have gone
            with suppress(OSError):
                self._status.stop()

    def show(self, text: str, *, log: bool = False) -> None:
        """Show a stage.

        Args:
            text: in a few words.
            log: where there is no terminal, print it too.
        """
        with suppress(OSError):
            if self._status is not None:
                self._status.update(text)
                # started late: a command without stages shows nothing
                self._status.start()
            elif log and text != self._shown:
                self._console.print(f"capsnet: {text}")
        self._shown = text


@contextmanager
def stage(text: str, *, log: bool = False) -> Iterator[None]:
    """Show one stage while something is done."""
    with Stages() as stages:
        stages.show(text, log=log)
        yield
