"""Several processes share the batches of a run and end with the weights of one."""

import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from capsnet.data import load_data
from capsnet.data.inputs import Inputs
from capsnet.errors import UserError
from capsnet.models import create_model
from capsnet.recipes import RECIPES
from capsnet.training import distributed
from capsnet.training.batches import Batches
from capsnet.training.distributed import (
    Processes,
    ProcessLost,
    describe_batch_norm,
    join_processes,
    naming_lost_processes,
    was_restarted,
)
from capsnet.training.step import Step

# process 1 dies, or process 0 gets a signal, while both are at work
PROGRAM = """
import os, signal, sys
import capsnet
from capsnet.training.step import Step

class Signal(capsnet.Callback):
    def on_row(self, row):
        if "stop" in sys.argv:
            os.kill(os.getpid(), signal.SIGTERM)

def die_at_step_7(self, *arguments):
    if int(self.done) == 7:
        os._exit(9)
    learn(self, *arguments)

learn = Step.__call__
first_time = os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0"
if "die" in sys.argv and os.environ["RANK"] == "1" and first_time:
    Step.__call__ = die_at_step_7
sizes = dict(model_options={"stem_channels": 16, "num_types": 2}, batch_size=33, limit=99, test_limit=20, steps=12)
settings = dict(precision="fp32", optimizer="sgd", lr=0.05, **sizes)
# each word with its folder
for word, folder in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    options = {"resume": folder} if word == "resume" else {"out": folder, **settings}
    capsnet.train("quickstart", **options, callbacks=[Signal()])
"""


def start(count, *words, restarts=0):
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "--no-python"]
    several += ["--max-restarts", str(restarts)]
    program = [sys.executable, "-c", PROGRAM, *map(str, words)]
    command = [sys.executable, *several, *program] if count > 1 else program
    return subprocess.run(command, capture_output=True, text=True, timeout=180)


def assert_same_weights(one, other):
    """Equal but for the order in which gradients were added."""
    first, second = load_file(one / "weights.safetensors"), load_file(other / "weights.safetensors")
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-5, atol=1e-6, msg=f"{name} differs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("distributed")


@pytest.fixture(scope="module")
def stopped(folder):
    """A run of two processes that a signal to one of them stopped, and whether it was tested."""
    done = start(2, "stop", folder / "stopped")
    return done, (folder / "stopped" / "evaluation.json").exists()


@pytest.fixture(scope="module")
def died(folder):
    """A run of two processes one of which died, and its seconds."""
    before = time.monotonic()
    done = start(2, "die", folder / "died")
    return done, time.monotonic() - before


@pytest.fixture(scope="module")
def alone(folder, stopped, died):
    """The run of one process, which also goes on with those of two: an import of torch takes longer than they do."""
    done = start(1, "run", folder / "alone", "resume", folder / "stopped", "resume", folder / "died")
    assert done.returncode == 0, done.stderr
    return folder / "alone"


@pytest.fixture(scope="module")
def shared(folder):
    """The run of four processes."""
    done = start(4, "run", folder / "shared")
    assert done.returncode == 0, done.stderr
    return folder / "shared"


def test_weights_are_those_of_one_process_when_four_share_each_batch(alone, shared):
    assert_same_weights(alone, shared)


def test_metrics_are_those_of_one_process_when_four_share_each_batch(alone, shared):
    rows = [(run / "metrics.csv").read_text().splitlines() for run in (alone, shared)]
    assert len(rows[0]) == len(rows[1]) > 4
    for first, second in zip(rows[0][1:], rows[1][1:], strict=True):
        # step, epoch, learning rate, loss, class loss, reconstruction loss, accuracy
        values = [[float(value) for value in row.split(",")[:7]] for row in (first, second)]
        assert values[1] == pytest.approx(values[0], rel=1e-5)


def test_run_of_two_processes_goes_on_with_one_when_a_signal_stopped_one_of_them(folder, stopped, alone):
    done, was_tested = stopped
    assert done.returncode != 0
    assert not was_tested
    assert_same_weights(alone, folder / "stopped")


def test_all_processes_end_and_the_run_can_go_on_when_one_dies(folder, died, alone):
    done, seconds = died
    assert done.returncode != 0
    assert seconds < 90
    # torchrun's own line: the other process may be stopped before it writes its message
    assert "exitcode: 9" in done.stderr
    assert_same_weights(alone, folder / "died")


def test_run_goes_on_by_itself_when_torchrun_restarts_its_processes(alone, tmp_path):
    done = start(2, "die", tmp_path / "run", restarts=1)
    assert done.returncode == 0, done.stderr
    # torchrun's own line: the other process may be stopped before it writes its message
    assert "exitcode: 9" in done.stderr
    assert_same_weights(alone, tmp_path / "run")


@pytest.mark.parametrize(("size", "count"), [(33, 4), (3, 4), (128, 1), (7, 3)])
def test_shares_are_the_whole_batch_in_order_when_several_processes_compute_it(size, count):
    positions = [position for rank in range(count) for position in range(size)[Processes(rank, count).share(size)]]
    assert positions == list(range(size))


def make_step(processes=None, **options):
    torch.manual_seed(0)
    config = RECIPES.get("quickstart").config
    config = config.change(optimizer="sgd", lr=0.05, batch_size=8, steps=10, **options)
    model = create_model("capsnet", image_shape=(1, 28, 28), stem_channels=4, num_types=2)
    data = load_data("digits").train
    return Step(model, Batches(data, Inputs((1, 28, 28)), []), config, "fp32", processes or Processes())


@pytest.mark.parametrize("accumulate", [2, 3, 8, 20])
def test_step_is_the_same_when_its_batch_is_computed_in_parts(accumulate):
    whole, parts = make_step(), make_step(accumulate=accumulate)
    for step in (whole, parts):
        step(torch.arange(8), {}, 0.05)
    for one, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(whole.totals, parts.totals)


def test_weights_of_parts_add_up_to_one_when_processes_are_averaged():
    for size in (1, 3, 8, 33):
        parts = [part for rank in range(4) for part in make_step(Processes(rank, 4), accumulate=3).parts(size)]
        assert sum(part.weight for part in parts) / 4 == pytest.approx(1)


def test_batch_norm_is_noted_when_a_batch_is_computed_in_parts():
    model = create_model("self-routing-capsnet")
    assert describe_batch_norm(model, Processes(), 1) == []
    [note] = describe_batch_norm(model, Processes(0, 2), 3)
    assert "each of the 6 parts of a batch" in note
    # of routing: a class of its own
    assert describe_batch_norm(create_model("em-capsnet-tiny"), Processes(0, 2), 3) == [note]
    assert describe_batch_norm(create_model("capsnet-tiny"), Processes(0, 2), 3) == []


def test_network_error_names_the_lost_process_when_gloo_raises_it():
    with pytest.raises(ProcessLost, match="another process"), naming_lost_processes():
        raise RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer")


def test_other_errors_stay_as_they_are_when_processes_are_at_work():
    with pytest.raises(RuntimeError, match="shapes"), naming_lost_processes():
        raise RuntimeError("shapes do not fit")


def test_process_without_a_gpu_is_refused_when_there_are_fewer_gpus(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(distributed.torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="each process needs its own GPU"), join_processes(torch.device("cuda")):
        pass


def test_restart_is_known_when_torchrun_counts_one(monkeypatch):
    assert not was_restarted()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert was_restarted()
