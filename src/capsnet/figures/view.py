"""A run as a notebook shows it."""

import shlex
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path

from capsnet.errors import UserError
from capsnet.figures.draw import plan
from capsnet.figures.report import write_report
from capsnet.figures.style import to_png
from capsnet.figures.subject import FIGURES, Drawing, Subject
from capsnet.inference.evaluate import Evaluation
from capsnet.runs.folder import Run
from capsnet.runs.show import Picture, Pictures, embed


class RunView:
    """Shows the run in a folder.

    Args:
        folder: the run's.

    Raises:
        UserError: it is not a run's.
    """

    def __init__(self, folder: Path) -> None:
        self._run = Run.open(folder)

    def summary(self) -> str:
        """Name, test error with its interval, learning curves and where the report is, as HTML."""
        run = self._run
        lines = [f"<b>{escape(run.folder.resolve().name)}</b>: {escape(run.config.model)} on {escape(run.config.data)}"]
        result = run.evaluation()
        if result is None:
            command = escape(f"capsnet train --resume {shlex.quote(str(run.folder))}")
            lines.append(f"not finished: there is no test result yet; go on with <code>{command}</code>")
        else:
            test = Evaluation.from_dict(result["test"])
            low, high = test.error_interval
            lines.append(
                f"test error <b>{test.error_percent:.2f} %</b> of {test.n:,} {test.noun} (95 % interval {low:.2f} to "
                f"{high:.2f} %), trained {result['seconds']:,.0f} s, {result['step']:,} steps"
            )
        report = run.folder / "report.html"
        lines.append(f"report: <code>{escape(str(report))}</code>" if report.is_file() else _MORE)
        return f"<div>{'<br>'.join(lines)}</div>{self._curves()}"

    def _curves(self) -> str:
        try:
            (drawing,) = FIGURES.get("curves").drawings(Subject(self._run)).values()
            return embed(_draw("curves", "curves", drawing), width="34rem")
        except UserError as fault:
            return f"<div><small>no learning curves: {escape(str(fault))}</small></div>"

    def pictures(self) -> Pictures:
        """All figures that the run's state allows; what is left out is named on standard error."""
        drawings: dict[str, Callable[[], Picture]] = {}
        for kind, files in plan(Subject(self._run)).items():
            drawings |= {name: partial(_draw, kind, name, drawing) for name, drawing in files.items()}
        return Pictures(drawings)

    def report(self, *, overwrite: bool) -> Path:
        """Write `report.html`."""
        return write_report(self._run, overwrite=overwrite)


_MORE = "more: <code>run.figures()</code>, <code>run.metrics()</code>, <code>run.report()</code>"


def _draw(kind: str, name: str, drawing: Drawing) -> Picture:
    return Picture(name, FIGURES.get(kind).caption, to_png(drawing()))
