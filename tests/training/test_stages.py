import io

import pytest
from rich.console import Console

from capsnet.training.stages import Stages, stage


@pytest.fixture
def screen(monkeypatch):
    """What a terminal shows."""
    shown, whole = io.StringIO(), Console.__init__
    terminal = {"file": shown, "force_terminal": True, "stderr": False, "width": 80}
    monkeypatch.setattr(Console, "__init__", lambda console, **options: whole(console, **{**options, **terminal}))
    return shown


def test_a_terminal_shows_the_present_stage(screen, capsys):
    with Stages() as stages:
        stages.show("drawing 3 of 24: curves")
    assert "drawing 3 of 24: curves" in screen.getvalue()
    assert capsys.readouterr() == ("", "")


def test_elsewhere_only_what_is_for_the_log_is_printed(capsys):
    with Stages() as stages:
        stages.show("testing on 359 images", log=True)
        stages.show("drawing 1 of 24")
    with stage("drawing 2 of 24"):
        pass
    assert capsys.readouterr() == ("", "capsnet: testing on 359 images\n")
