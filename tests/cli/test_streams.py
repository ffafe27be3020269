"""Streams that are closed, or whose reader has ended."""

import contextlib
import os
import subprocess
import sys

import pytest

from capsnet import cli
from capsnet.cli import main
from capsnet.cli.console import print_json
from capsnet.cli.streams import is_reader_gone, needing_reader
from capsnet.errors import UserError

CAPSNET = f"{sys.executable} -m capsnet"


def in_shell(line):
    return subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True)


@pytest.mark.parametrize("line", ["list all", "--version", "train --epochs"])
def test_closed_standard_output_is_no_bug(line):
    done = in_shell(f"{CAPSNET} {line} >&-")
    assert "Traceback" not in done.stderr
    assert done.returncode == (2 if line.startswith("train") else 0)


def test_closed_standard_error_is_no_bug():
    assert in_shell(f"{CAPSNET} list nosuch 2>&-").returncode == 2


@contextlib.contextmanager
def broken(number):
    """Let a stream of this process be a pipe without a reader."""
    kept = os.dup(number)
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, number)
    os.close(writer)
    try:
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)


def test_reader_that_has_enough_ends_the_command_well():
    program = "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1); from capsnet.cli import main; "
    program += "sys.exit(main(['list', 'all']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_broken_pipe_that_is_not_standard_output_is_a_fault(monkeypatch, capfd):
    def fail(words, is_command):
        raise BrokenPipeError

    monkeypatch.setattr(cli, "_call", fail)
    assert main(["list"]) == 1


def test_progress_that_nobody_reads_does_not_end_the_work():
    program = (
        "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 2)\n"
        "from capsnet import cli\n"
        "def work(words, is_command):\n"
        "    for _ in range(3): print('step', file=sys.stderr, flush=True)\n"
        "    print('done')\n"
        "    return 0\n"
        "cli._call = work\n"
        "sys.exit(cli.main(['train']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_work_that_the_reader_left_undone_is_named(capfd):
    def draw():
        with needing_reader("the figure is not drawn"):
            raise BrokenPipeError

    with capfd.disabled(), broken(1):
        assert is_reader_gone()
        with pytest.raises(UserError, match="the figure is not drawn"):
            draw()


def test_json_never_holds_nan(capsys):
    with pytest.raises(UserError, match="not finite"):
        print_json({"loss": float("nan")})
    assert capsys.readouterr().out == ""
