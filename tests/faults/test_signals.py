"""Polite signals: Ctrl-C at the start of a command, SIGTERM and SIGHUP from a batch system."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from safetensors.torch import load_file
from tests.conftest import TINY

from capsnet.training import train

# of the processor, in which a batch system's notice is served: other work on the machine does not count
MOST_SECONDS = 5.0
CONFIG = TINY.change(epochs=2, limit=64, test_limit=20)
PROGRAM = """
import sys
import capsnet
from pathlib import Path
from capsnet.cli import main

class Ready(capsnet.Callback):
    def on_row(self, row):
        if row["step"] == 2:
            Path(sys.argv[1], "ready").touch()
            # a run that would last for hours
            capsnet.training.loop.Job._step = wait

def wait(job, *arguments):
    import time
    time.sleep(0.05)
    step(job, *arguments)

step = capsnet.training.loop.Job._step
config = capsnet.RunConfig.from_json(sys.stdin.read())
def call(words):
    capsnet.train(config, out=sys.argv[1] + "/run", callbacks=[Ready()])

import capsnet.cli.train
capsnet.cli.train.main = call
sys.exit(main(["train"]))
"""


def processor_seconds(process):
    """What a process, and its children that have ended, have used of the processor: a compiler is one of them."""
    path = Path(f"/proc/{process}/stat")
    if not path.exists():
        # not there on macOS: all that it used is counted
        return 0.0
    fields = path.read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def test_notice_of_a_batch_system_saves_in_seconds_and_goes_on_exactly(tmp_path):
    long = CONFIG.change(epochs=400)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdin.write(long.to_json())
        process.stdin.close()
        while not (tmp_path / "ready").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        before = processor_seconds(process.pid)
        process.send_signal(signal.SIGTERM)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 130, errors
    assert usage.ru_utime + usage.ru_stime - before < MOST_SECONDS
    assert "go on with: capsnet train --resume" in errors
    resumed, undisturbed = train(CONFIG, resume=tmp_path / "run"), train(CONFIG, out=tmp_path / "undisturbed")
    weights, expected = load_file(resumed.weights_path), load_file(undisturbed.weights_path)
    assert all(weights[name].equal(tensor) for name, tensor in expected.items())


def test_interrupt_while_a_command_starts_ends_it_quietly():
    program = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "capsnet.cli.importing":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["capsnet", "--version"]
from capsnet.command import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    # a shell shows 130
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_interrupts_that_are_ignored_stay_ignored():
    program = "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.argv = ['capsnet', '--version']\n"
    program += "from capsnet.command import main; main(); print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("True\n")
