"""Runs on Ray: the seam with a fake module, and one run on a cluster of one node where Ray is installed."""

import json
import sys
import types
from pathlib import Path

import pytest
from tests.studies.conftest import SHRUNK

from capsnet.errors import UserError
from capsnet.runs import Run
from capsnet.studies import reproduce
from capsnet.studies.cluster import connect, share_of_node


class FakeRay(types.ModuleType):
    """As much of Ray as a study uses: tasks run when they are submitted, in this process."""

    class exceptions:
        RayError = type("RayError", (Exception,), {})
        RayTaskError = type("RayTaskError", (RayError,), {})
        TaskCancelledError = type("TaskCancelledError", (RayError,), {})
        WorkerCrashedError = type("WorkerCrashedError", (RayError,), {})

    def __init__(self, addresses=("auto",), crashing=()):
        super().__init__("ray")
        self.addresses, self.crashing, self.calls, self.settings = addresses, crashing, [], {}

    def is_initialized(self):
        return False

    def init(self, address, **options):
        if address not in self.addresses:
            raise ConnectionError("Could not find any running Ray instance.")

    def shutdown(self):
        self.calls.append("shutdown")

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": 4.0}}, {"Alive": False, "Resources": {"CPU": 1.0}}]

    def remote(self, **settings):
        self.settings = settings
        return lambda function: types.SimpleNamespace(options=lambda name: self.submitted(function, name))

    def submitted(self, function, name):
        def call(order):
            self.calls.append(name)
            return (name, None if name in self.crashing else function(json.loads(json.dumps(order))))

        return types.SimpleNamespace(remote=call)

    def wait(self, references, timeout):
        return references[:1], references[1:]

    def get(self, reference):
        name, answer = reference
        if name in self.crashing:
            raise self.exceptions.WorkerCrashedError
        return answer


@pytest.fixture
def fake(monkeypatch):
    ray = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    return ray


def test_runs_on_ray_are_those_of_the_local_machine(fake, study, done, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    table = reproduce(study, out=Path("study"), ray="auto", jobs=2, seeds=1)
    assert [row["errors"][0] for row in table["rows"]] == [row["errors"][0] for row in done[1]["rows"]]
    assert fake.calls == ["r1-seed0", "plain-seed0", "shutdown"]
    assert fake.settings == {"max_retries": 3, "max_calls": 1, "num_cpus": 2}
    assert "epoch" in Path("study/logs/r1-seed0.log").read_text()
    assert Path("study/runs/r1-seed0/weights.safetensors").is_file()
    assert "[2/2] plain-seed0: test error" in capfd.readouterr().err


def test_run_whose_worker_dies_too_often_is_named(fake, study, tmp_path):
    fake.crashing = ("plain-seed0",)
    with pytest.raises(
        UserError, match=r"1 of 2 runs failed.*plain-seed0: its worker died 4 times \(WorkerCrashedError"
    ):
        reproduce(study, out=tmp_path / "study", ray="auto", seeds=1, changes={"steps": 1})
    assert Run.open(tmp_path / "study" / "runs" / "r1-seed0").evaluation() is not None


def test_study_without_a_cluster_runs_on_this_machine(fake, study, tmp_path, capfd):
    fake.addresses = ()
    reproduce(study, out=tmp_path / "study", ray="auto", seeds=1, changes={"steps": 1})
    assert fake.calls == []
    assert "no Ray cluster is used (Could not find any running Ray instance.)" in capfd.readouterr().err


def test_address_without_a_cluster_is_refused(fake):
    # port 9 of this machine: discard, which nothing serves
    with pytest.raises(UserError, match=r"no Ray cluster can be used at 127\.0\.0\.1:9: "), connect("127.0.0.1:9"):
        pass


def test_cluster_that_refuses_is_not_passed_over(fake, monkeypatch):
    def refuse(address, **options):
        raise RuntimeError("Version mismatch")

    monkeypatch.setattr(fake, "init", refuse)
    with pytest.raises(UserError, match="no Ray cluster can be used at auto: Version mismatch"), connect("auto"):
        pass


def test_ray_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'capsnet\[ray\]'"), connect("auto"):
        pass


def test_run_takes_a_gpu_where_there_are_any_and_else_its_share_of_the_smallest_node():
    head = {"Alive": True, "Resources": {"CPU": 0.0}}
    small, large = ({"Alive": True, "Resources": {"CPU": cores}} for cores in (4.0, 64.0))
    gpu = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}}
    assert share_of_node([head, small, large], jobs=2) == ({"num_cpus": 2}, 2)
    assert share_of_node([small, large], jobs=8) == ({"num_cpus": 1}, 1)
    assert share_of_node([head, small, gpu], jobs=2) == ({"num_gpus": 1, "num_cpus": 1}, None)
    with pytest.raises(UserError, match="no CPU core and no GPU"):
        share_of_node([head], jobs=1)


@pytest.mark.filterwarnings("ignore")
def test_run_on_a_cluster_of_one_node_ends_as_on_this_machine(study, done, tmp_path):
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        table = reproduce(study, out=tmp_path / "study", seeds=1, ray="auto")
    finally:
        ray.shutdown()
    assert [row["errors"][0] for row in table["rows"]] == [row["errors"][0] for row in done[1]["rows"]]
    assert SHRUNK["lr"] == Run.open(tmp_path / "study" / "runs" / "r1-seed0").config.optimizer.lr
