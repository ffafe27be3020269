"""Display a run in a notebook: its result, figures and report."""

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path

from capsnet.errors import UserError
from capsnet.figures.draw import plan
from capsnet.figures.pictures import Picture, Pictures, embed
from capsnet.figures.report import write_report
from capsnet.figures.style import to_png
from capsnet.figures.subject import FIGURES, Drawing, Subject
from capsnet.inference.evaluate import Evaluation
from capsnet.runs.folder import Run


class RunView:
    """A notebook display of a run: name, test error with its interval, learning curves and the report's path.

    Args:
        run: finished or not.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    def figures(self) -> Pictures:
        """All available figures; see `show_figures`."""
        return show_figures(self.run)

    def figure(self, name: str) -> Picture:
        """One figure; see `show_figure`."""
        return show_figure(self.run, name)

    def report(self, *, overwrite: bool = False) -> Path:
        """Write `report.html`; see `write_report`."""
        return write_report(self.run, overwrite=overwrite)

    def __repr__(self) -> str:
        return f"RunView({str(self.run.folder)!r})"

    def _repr_html_(self) -> str:
        run = self.run
        model, data = run.config.model.name, run.config.data.name
        lines = [f"<b>{escape(run.folder.resolve().name)}</b>: {escape(model)} on {escape(data)}"]
        result = run.evaluation()
        if result is None:
            words, command = run.explain_missing_result()
            lines.append(f"{escape(words)} <code>{escape(command)}</code>")
        else:
            test = Evaluation.from_dict(result["test"])
            low, high = test.error_interval
            lines.append(
                f"test error <b>{test.error_percent:.2f} %</b> of {test.n:,} {test.noun} (95 % interval {low:.2f} to "
                f"{high:.2f} %), {escape(run.describe_training(result))}"
            )
        report = run.folder / "report.html"
        lines.append(f"report: <code>{escape(str(report))}</code>" if report.is_file() else _MORE)
        return f"<div>{'<br>'.join(lines)}</div>{_curves(run)}"


def show(run: Run | Path | str) -> RunView:
    """Show a run in a notebook, with its learning curves.

    Args:
        run: the run, or its folder.

    Raises:
        UserError: the folder is not a run's.

    Example:
        >>> capsnet.figures.show("runs/quickstart")
    """
    return RunView(run if isinstance(run, Run) else Run.open(run))


def show_figures(run: Run | Path | str) -> Pictures:
    """All available figures of a run, by name, each drawn on first access.

    A figure that cannot be drawn, for example because its data set is missing, is reported on standard error.

    Args:
        run: the run, or its folder.

    Raises:
        UserError: the folder is not a run's.
    """
    drawings: dict[str, Callable[[], Picture]] = {}
    subject = Subject(show(run).run)
    for kind, files in plan(subject).items():
        drawings |= {name: partial(_draw, subject, kind, name, drawing) for name, drawing in files.items()}
    return Pictures(drawings)


def show_figure(run: Run | Path | str, name: str) -> Picture:
    """One figure of a run, by its name in `show_figures`.

    Args:
        run: the run, or its folder.
        name: such as `"curves"`.

    Raises:
        UserError: an unknown name, a figure that cannot be drawn, or a folder that is not a run's.

    Example:
        >>> capsnet.figures.show_figure(run, "reconstructions").save("reconstructions.png")
    """
    return show_figures(run).find(name)


_MORE = "more: <code>.figures()</code>, <code>.figure(name)</code>, <code>.report()</code>, <code>run.metrics()</code>"


def _curves(run: Run) -> str:
    try:
        subject = Subject(run)
        (drawing,) = FIGURES.get("curves").drawings(subject).values()
        return embed(_draw(subject, "curves", "curves", drawing), width="34rem")
    except UserError as fault:
        return f"<div><small>no learning curves: {escape(str(fault))}</small></div>"


def _draw(subject: Subject, kind: str, name: str, drawing: Drawing) -> Picture:
    return Picture(name, FIGURES.get(kind).describe(subject), to_png(drawing()))
