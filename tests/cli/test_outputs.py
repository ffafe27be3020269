"""Files that cannot be written are refused before any work."""

import pytest

from capsnet.cli import main
from capsnet.cli.outputs import check_output
from capsnet.errors import UserError


def test_file_in_an_existing_folder_is_accepted(tmp_path):
    check_output(None, "--csv")
    check_output(tmp_path / "a.csv", "--csv")
    for name in ("a.png", "a.PNG", "a"):
        check_output(tmp_path / name, "--figure", suffix=".png")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("here.png", "exists; give another --figure"),
        ("nosuch/a.png", "--figure must be in an existing folder, got .*; create .*nosuch"),
        ("a.jpg", "--figure must end in .png, the format that is written, got .*a.jpg"),
    ],
)
def test_file_that_cannot_be_written_is_refused(tmp_path, name, message):
    (tmp_path / "here.png").touch()
    with pytest.raises(UserError, match=message):
        check_output(tmp_path / name, "--figure", suffix=".png")


@pytest.mark.parametrize(
    "line",
    ["evaluate nosuch --csv no/a.csv", "predict nosuch a.png --figure no/a.png", "data nosuch --figure no/a.png"],
)
def test_verbs_check_before_they_load(line, capsys):
    assert main(line.split()) == 2
    assert "must be in an existing folder" in capsys.readouterr().err
