import pytest

from capsnet.cli.demo import Demo, has_screen
from capsnet.cli.parse import parse


@pytest.mark.parametrize(("words", "opens"), [([], True), (["--no-browser"], False)])
def test_the_browser_opens_unless_told_not_to(words, opens):
    assert parse(Demo, words).browser is opens


@pytest.mark.parametrize(("variables", "screen"), [({}, False), ({"DISPLAY": ":0"}, True), ({"BROWSER": "x"}, True)])
def test_without_a_display_no_browser_takes_the_terminal(monkeypatch, variables, screen):
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert has_screen() is screen
