"""The catalogue holds what the registries hold."""

import subprocess
import sys

import pytest

from capsnet.cli import catalogue
from capsnet.cli.catalogue import KINDS, is_behind, list_entries
from capsnet.errors import UserError


@pytest.mark.parametrize("kind", KINDS.names())
def test_catalogue_holds_what_is_registered(kind):
    stored = {"files": catalogue._files(kind), "entries": KINDS.get(kind)()}
    assert catalogue._read()[kind] == stored, "run make catalogue"


def test_list_does_not_import_torch():
    script = "import sys\nfrom capsnet.cli import main\nfor kind in sys.argv[1:]:\n    main(['list', kind])\n"
    script += "    print(kind, 'torch' in sys.modules)"
    command = [sys.executable, "-c", script, *KINDS.names()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [f"{kind} False" for kind in KINDS.names()] == [
        line for line in done.stdout.splitlines() if line.endswith((" True", " False"))
    ]


def test_new_file_in_a_room_makes_list_read_the_registry(monkeypatch):
    monkeypatch.setattr(catalogue, "_files", lambda kind: ["new.py"])
    monkeypatch.setitem(KINDS._values, "routings", lambda: {"new": "registered a moment ago"})
    assert is_behind("routings")
    assert list_entries("routings") == {"new": "registered a moment ago"}


def test_offer_of_another_package_makes_list_read_the_registry(monkeypatch):
    monkeypatch.setattr(catalogue.metadata, "entry_points", lambda group: [group])
    monkeypatch.setitem(KINDS._values, "routings", lambda: {"other": "of another package"})
    assert list_entries("routings") == {"other": "of another package"}


def test_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="unknown kind 'model'; did you mean 'models'"):
        list_entries("model")
