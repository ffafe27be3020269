"""What the command line does with what goes wrong outside of it: interrupts, disks, and names."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from capsnet import cli
from capsnet.cli import main


@pytest.mark.parametrize("delay", [0.2, 1.0])
def test_ctrl_c_in_the_first_seconds_prints_one_line(delay):
    # a program in the background of a shell would ignore it
    program = "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program += "sys.argv = ['capsnet', 'train']; print('started', flush=True)\n"
    program += "runpy.run_module('capsnet', run_name='__main__', alter_sys=False)"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "started\n"
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130
    assert said == "capsnet: interrupted\n"


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.EEXIST])
def test_disk_that_refuses_is_said_in_one_line(number, monkeypatch, capsys):
    def refuse(words, is_command):
        raise OSError(number, os.strerror(number), "figures/a.png")

    monkeypatch.setattr(cli, "_call", refuse)
    assert main(["report", "run"]) == 2
    assert capsys.readouterr().err == f"capsnet: figures/a.png: {os.strerror(number)}\n"


def test_other_faults_of_the_system_are_still_ours(monkeypatch, capsys):
    def fail(words, is_command):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "a")

    monkeypatch.setattr(cli, "_call", fail)
    assert main(["list", "models"]) == 1
    assert "a bug in capsnet" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a file that is always full")
def test_full_disk_behind_standard_output_is_said_in_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "capsnet", "--version"], stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, b"capsnet: No space left on device\n")


def test_file_whose_name_is_not_utf8_is_named_as_it_is(tmp_path):
    image = bytes(tmp_path) + b"/seven\xff.png"
    program = "import sys; from PIL import Image; Image.new('L', (28, 28)).save(open(sys.argv[1], 'wb'), 'png')"
    subprocess.run([sys.executable, "-c", program, image], check=True)
    command = [sys.executable, "-m", "capsnet", "predict", "--as-is", "efficient-capsnet-mnist", image]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(image + b": ")
    assert subprocess.run([*command, "--json"], capture_output=True).returncode == 0
    assert subprocess.run([*command, "--figure", tmp_path / "a.png"], capture_output=True).returncode == 0


def test_a_program_that_calls_a_verb_keeps_its_handling_of_ctrl_c():
    program = (
        "import gc, signal; handler = lambda *_: None; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys; from capsnet.cli import main\n"
        "sys.modules.pop('torch', None); set_handler, calls = signal.signal, []\n"
        "signal.signal = lambda *args: calls.append(args) or set_handler(*args)\n"
        "disable = gc.disable; gc.disable = lambda: calls.append('gc') or disable()\n"
        "main(['predict', 'nosuch', 'a.png']); print(calls)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_help_needs_no_parser():
    program = "import sys; from capsnet.cli import main; main(['--help']); print({'tyro', 'torch'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.endswith("set()\n")
