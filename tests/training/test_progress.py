import builtins
import io

import pytest
from rich.console import Console

from capsnet.runs.epochs import HEAD
from capsnet.training.progress import Reporter

ROW = {"loss": 0.5, "margin_loss": 0.5, "accuracy": 0.25, "images_per_second": 1234.0, "seconds": 61.0}
LAST = {**ROW, "validation_loss": 0.125, "validation_accuracy": 0.75}
LINE = "1/2    0.5000    25.00 %     0.1250    75.00 %       1:01"


@pytest.fixture
def notebook(monkeypatch):
    """What a notebook would show: a list of the states of its one output."""
    states = []

    class Handle:
        def update(self, data, raw):
            states.append(data["text/html"])

    class ZMQInteractiveShell:
        pass

    def display(data, raw, display_id):
        return Handle()

    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    monkeypatch.setattr(pytest.importorskip("IPython.display"), "display", display)
    return states


def test_notebook_shows_one_bar_and_the_epochs_below_it(notebook, capsys):
    reporter = Reporter(total_steps=20, steps_per_epoch=10)
    reporter.row({"step": 5.0, **ROW})
    reporter.row({"step": 10.0, **LAST})
    reporter.row({"step": 15.0, **ROW})
    reporter.close()
    first, *_, last = notebook
    assert '<progress value="5" max="20"' in first
    assert "epoch 1/2  step 5 of 20" in first
    assert '<progress value="15" max="20"' in last
    assert LINE in last
    assert "loss 0.5000  accuracy 25.00 %  1,234 images/s" in last
    assert capsys.readouterr() == ("", "")


def test_notebook_is_not_drawn_for_each_row_of_a_burst(notebook):
    reporter = Reporter(total_steps=1000, steps_per_epoch=1000)
    for step in range(1, 1001):
        reporter.row({"step": float(step), **ROW})
    reporter.close()
    assert len(notebook) < 100
    assert 'value="1000"' in notebook[-1]


def test_elsewhere_a_line_is_printed_for_each_epoch(capsys):
    reporter = Reporter(total_steps=20, steps_per_epoch=10)
    for step in (9.0, 9.5):
        reporter.row({"step": step, **ROW})
    reporter.row({"step": 10.0, **LAST})
    reporter.close()
    lines = capsys.readouterr().err.splitlines()
    # the first row, and the epoch's end under its heading
    assert lines[0].startswith("epoch 1/2  step 9/20  loss 0.5000  accuracy 25.00 %")
    assert lines[1:3] == list(HEAD)
    assert lines[3].strip() == LINE
    assert len(lines) == 4
    assert "\x1b" not in lines[3]


def test_terminal_shows_a_bar(monkeypatch):
    screen = io.StringIO()
    whole = Console.__init__
    terminal = {"file": screen, "force_terminal": True, "stderr": False, "width": 120}
    monkeypatch.setattr(Console, "__init__", lambda console, **options: whole(console, **{**options, **terminal}))
    reporter = Reporter(total_steps=20, steps_per_epoch=10)
    reporter.row({"step": 10.0, **LAST})
    reporter.close()
    assert "━" in screen.getvalue()
    assert LINE in screen.getvalue()


def test_a_run_that_goes_on_counts_the_whole_epoch(capsys):
    before = [{**ROW, "step": 10.0}, {**ROW, "step": 15.0, "accuracy": 0.0, "seconds": 122.0}]
    reporter = Reporter(total_steps=20, steps_per_epoch=10, step=15, before=before)
    reporter.row({**LAST, "step": 20.0, "accuracy": 0.5, "seconds": 183.0})
    reporter.close()
    assert "2/2    0.5000    25.00 %" in capsys.readouterr().err


def test_speed_is_of_late_when_a_run_goes_on(notebook):
    before = {"step": 5.0, **ROW, "images_per_second": 10.0, "seconds": 100.0}
    reporter = Reporter(total_steps=20, steps_per_epoch=10, step=5, before=[before])
    # 1,000 images until then, 400 more in 2 seconds
    reporter.row({"step": 9.0, **ROW, "images_per_second": 1400 / 102, "seconds": 102.0})
    reporter.close()
    assert "200 images/s" in notebook[-1]
