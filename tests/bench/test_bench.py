"""Benchmarks measure what they say, and a path that gained less is found."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from capsnet import kernels
from capsnet.bench import BENCHES, inference, instructions, memory, memory_process, routing, routings, run, runner
from capsnet.bench.bench import Bench, Job, fell_behind, limit, measure
from capsnet.bench.measure import interleave, spread
from capsnet.bench.memory import added_megabytes
from capsnet.bench.step import count_operations
from capsnet.cli import main
from capsnet.routing import ROUTINGS

CPU = torch.device("cpu")
CEILINGS = {"fp32_gflops": 100.0, "bf16_gflops": None, "copy_gb_s": 10.0}


def row(**ratio):
    times = {path: {"median": 1.0, "low": 1.0, "high": 1.0} for path in ratio}
    return {"bench": "x", "case": {"batch": 2}, "times": times, "ratio": ratio}


def test_paths_take_turns_and_the_first_round_does_not_count():
    calls = []
    works = {name: (lambda name=name: calls.append(name)) for name in ("plain", "fused")}
    interleave(works, rounds=2, device=CPU)
    assert calls == ["plain", "fused"] * 3


def test_time_of_the_processor_is_measured_with_its_clock():
    ticks = iter(range(100))
    found = interleave({"work": lambda: None}, rounds=3, device=CPU, clock=lambda: float(next(ticks)))
    assert found["work"]["median"] == 1000


def test_spread_is_median_and_quartiles():
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == {"median": 3.0, "low": 2.0, "high": 4.0}
    # never outside of what was measured
    assert spread([1.0, 2.0]) == {"median": 1.5, "low": 1.25, "high": 1.75}
    assert spread([7.0]) == {"median": 7.0, "low": 7.0, "high": 7.0}


def test_limit_is_that_of_arithmetic_or_of_memory_whichever_takes_longer():
    assert limit(Job({}, {}, operations=2e9, moved=1e6), CEILINGS) == pytest.approx(20.0)
    assert limit(Job({}, {}, operations=2e6, moved=1e9), CEILINGS) == pytest.approx(100.0)


def test_row_compares_with_the_first_path():
    sleeps = {"plain": lambda: torch.randn(400, 400) @ torch.randn(400, 400), "none": lambda: None}
    found = measure("x", Job({"batch": 2}, sleeps, operations=1e6), CPU, CEILINGS, 5)
    assert found["ratio"]["plain"] == 1.0
    assert found["ratio"]["none"] > 1.0


def test_operations_are_those_of_the_paper():
    # algorithms.md: 203.2 million products forward; backward twice as many, less the first convolution's input gradient
    forward = 2 * (8_294_400 + 191_102_976 + 1_474_560 + 921_600 + 1_411_344 - 1_872)
    assert count_operations() == pytest.approx(3 * forward - 2 * 8_294_400, rel=0.01)


def test_operations_of_inference_are_those_of_a_forward_pass():
    forward = 2 * (8_294_400 + 191_102_976 + 1_474_560 + 921_600 + 1_411_344 - 1_872)
    assert inference.count_operations() == pytest.approx(forward, rel=1e-3)


def test_path_that_gained_less_by_a_fifth_is_found():
    assert fell_behind(row(plain=1.0, fused=3.1), row(plain=1.0, fused=4.0)) == ["fused"]
    assert fell_behind(row(plain=1.0, fused=3.3), row(plain=1.0, fused=4.0)) == []
    assert fell_behind(row(plain=1.0), row(plain=1.0, fused=4.0)) == []


@pytest.fixture
def tiny(monkeypatch):
    """One benchmark of two paths that take no time."""
    monkeypatch.setattr(BENCHES, "_values", {})
    monkeypatch.setattr("capsnet.bench.runner.find_ceilings", lambda device: CEILINGS)
    works = {"plain": lambda: torch.ones(300, 300) @ torch.ones(300, 300), "fused": lambda: None}

    def jobs(device, quick):
        yield Job({"batch": 1 if quick else 2}, works, operations=1e6)

    BENCHES.add("tiny", Bench(jobs, "a test", rounds=3))


@pytest.mark.usefixtures("tiny")
def test_results_are_printed_written_and_compared(tmp_path, capsys):
    assert main(["bench", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "matrix product 100 GFLOP/s" in said
    assert "batch 2" in said
    (path,) = tmp_path.glob("*.json")
    results = json.loads(path.read_text())
    assert results["rows"][0]["bench"] == "tiny"
    assert {"device", "torch", "commit", "threads"} <= results["machine"].keys()
    results["rows"][0]["ratio"]["fused"] = 1e9
    path.write_text(json.dumps(results))
    assert main(["bench", "--against", str(tmp_path)]) == 1
    assert "fell behind: tiny batch=2: fused is" in capsys.readouterr().out


@pytest.mark.usefixtures("tiny")
def test_rows_that_are_not_measured_stay_with_their_commit(tmp_path, capsys):
    BENCHES.add("another", BENCHES.get("tiny"))
    file = tmp_path / "results.json"
    assert main(["bench", "--out", str(file)]) == 0
    first = json.loads(file.read_text())
    file.write_text(json.dumps({**first, "machine": {**first["machine"], "commit": "older"}}))
    assert main(["bench", "tiny", "--quick", "--out", str(file)]) == 0
    *old, new = json.loads(file.read_text())["rows"]
    assert old == [{**row, "commit": "older"} for row in first["rows"]]
    assert (new["bench"], new["case"]) == ("tiny", {"batch": 1})
    assert "commit" not in new
    assert main(["bench", "tiny", "--out", str(file)]) == 0
    another, tiny = json.loads(file.read_text())["rows"]
    assert another == old[0]
    assert (tiny["bench"], tiny["case"]) == ("tiny", {"batch": 2})


@pytest.mark.usefixtures("tiny")
def test_whole_run_that_is_stopped_keeps_the_rows_that_it_did_not_reach(tmp_path):
    file = tmp_path / "results.json"
    BENCHES.add("zebra", BENCHES.get("tiny"))
    assert main(["bench", "--out", str(file)]) == 0
    BENCHES._values["zebra"] = replace(BENCHES.get("tiny"), jobs=lambda device, quick: 1 / 0)
    assert main(["bench", "--out", str(file)]) == 1
    assert [row["bench"] for row in json.loads(file.read_text())["rows"]] == ["tiny", "zebra"]


@pytest.mark.usefixtures("tiny")
def test_results_of_another_machine_are_not_overwritten(tmp_path, capsys):
    file = tmp_path / "results.json"
    assert main(["bench", "--out", str(file)]) == 0
    first = json.loads(file.read_text())
    file.write_text(json.dumps({**first, "machine": {**first["machine"], "threads": 77}}))
    before = file.read_bytes()
    assert main(["bench", "--out", str(file)]) == 2
    assert "holds the results of another machine" in capsys.readouterr().err
    assert file.read_bytes() == before


@pytest.mark.usefixtures("tiny")
def test_file_that_cannot_be_added_to_is_found_before_anything_is_measured(tmp_path, capsys):
    file = tmp_path / "results.json"
    file.write_text("{}")
    assert main(["bench", "tiny", "--out", str(file)]) == 2
    told = capsys.readouterr()
    assert "holds no results of capsnet bench" in told.err
    assert told.out == ""
    assert file.read_text() == "{}"


@pytest.mark.usefixtures("tiny")
def test_rows_are_on_the_disk_after_each_measurement(tmp_path, monkeypatch):
    BENCHES.add("unfinished", replace(BENCHES.get("tiny"), jobs=lambda device, quick: 1 / 0))
    file = tmp_path / "results.json"
    assert main(["bench", "tiny", "unfinished", "--out", str(file)]) == 1
    assert [row["bench"] for row in json.loads(file.read_text())["rows"]] == ["tiny"]


@pytest.mark.usefixtures("tiny")
def test_case_is_measured_under_each_set_of_instructions(monkeypatch):
    environments = {"old": {"LEVEL": "1"}, "new": {"LEVEL": "2"}}
    BENCHES.add("levels", replace(BENCHES.get("tiny"), environments=lambda: environments))
    program = "import json, os; print(json.dumps({'case': {'level': os.environ['LEVEL']}}))"
    start = subprocess.Popen
    monkeypatch.setattr(
        runner.subprocess, "Popen", lambda command, **options: start([command[0], "-c", program], **options)
    )
    cases = [row["case"] for row in run(["levels"], CPU)["rows"]]
    assert cases == [{"instructions": "old", "level": "1"}, {"instructions": "new", "level": "2"}]


def test_instructions_that_the_processor_lacks_are_left_out(monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx2": True, "avx512_bw": True})
    assert list(instructions.environments()) == ["AVX2", "AVX-512"]
    assert instructions.environments()["AVX2"]["ATEN_CPU_CAPABILITY"] == "avx2"


def test_memory_of_a_captured_step_is_measured_from_before_the_capture(monkeypatch, capsys):
    done = []
    monkeypatch.setattr(memory_process, "return_memory", lambda: None)
    monkeypatch.setattr(memory_process.step, "make_paths", lambda *sizes: {"graph": lambda: done.append(sizes)})

    def peak_of(work, device):
        before = len(done)
        work()
        return 10 * before + len(done) - before

    monkeypatch.setattr(memory_process, "peak_of", peak_of)
    memory_process.main("step", "graph", "cuda", "2", "28")
    # one small step and one that makes the optimiser's state, then those up to the capture
    assert float(capsys.readouterr().out) == 20 + 4


def test_results_of_a_gpu_need_no_registry():
    root = Path(__file__).parents[2]
    if not (root / "Makefile").exists() or shutil.which("make") is None:
        pytest.skip("needs make and a checkout")
    command = ["make", "--no-print-directory", "-n", "bench-gpu"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert done.startswith("PYTHONPATH=src python3 -m capsnet bench --device cuda")
    assert "pip" not in done


@pytest.mark.usefixtures("tiny")
def test_json_is_one_object(capsys):
    assert main(["bench", "--quick", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["case"] == {"batch": 1}


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["stepp"], "unknown benchmark 'stepp'; did you mean 'step'"),
        (["step", "--rounds", "-1"], "--rounds must be at least 0"),
        (["step", "--against", "nowhere.json"], "no results of this machine"),
    ],
)
def test_faults_of_the_users_are_one_line(words, fault, capsys):
    assert main(["bench", *words]) == 2
    assert fault in capsys.readouterr().err


@pytest.mark.parametrize(("path", "mode"), [("plain", "plain"), ("fused", "auto"), ("fused without C", "torch")])
def test_each_path_of_routing_chooses_its_kernels(monkeypatch, path, mode):
    modes = []
    route, chosen = routing.PATHS[path]
    monkeypatch.setitem(routing.PATHS, path, (lambda *case: modes.append(kernels.mode()) or route(*case), chosen))
    case = dict(zip(routing.PAPER, (16, 8, 2, 2, 4, 3), strict=True))
    tensors = routing.make(case, CPU)
    routing.infer(path, case, tensors)
    routing.train(path, case, tensors)
    assert modes == [mode, mode]


def test_routing_is_measured_with_its_memory(monkeypatch):
    monkeypatch.setattr("capsnet.bench.runner.find_ceilings", lambda device: CEILINGS)
    # its memory is that of the fused path
    monkeypatch.delitem(routing.PATHS, "fused without C")
    rows = run(["routing"], CPU, quick=True, rounds=1)["rows"]
    assert all(path["median"] > 0 for found in rows for path in found["times"].values())
    assert rows[1]["megabytes"]["fused"] < rows[1]["megabytes"]["plain"] / 5


def test_training_step_takes_at_most_half_the_memory(monkeypatch):
    # each thread has memory of its own
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    plain, fused = (added_megabytes("step", path, CPU, 128, 28) for path in ("plain", "fused"))
    assert fused < plain / 2


@pytest.mark.usefixtures("tiny")
def test_training_is_measured_in_a_process_of_its_own(tmp_path, monkeypatch):
    expected = {"bench": "apart", "case": {"batch": 3}}
    BENCHES.add("apart", replace(BENCHES.get("tiny"), trains=True))
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{json.dumps(expected)}'\nexit $STATUS\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setenv("STATUS", "0")
    assert run(["apart", "tiny"], CPU, quick=True)["rows"][0] == expected
    monkeypatch.setenv("STATUS", "3")
    with pytest.raises(subprocess.CalledProcessError, match="the benchmark apart"):
        run(["apart"], CPU)


@pytest.mark.usefixtures("tiny")
def test_that_process_returns_memory_and_prints_a_row_on_a_line(monkeypatch, capsys):
    done = []
    monkeypatch.setattr(runner, "return_memory", lambda: done.append(True))
    runner.main(json.dumps(["tiny", "cpu", CEILINGS, True, 2]))
    assert done == [True]
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["case"] == {"batch": 1}


TINY = {"side": 1, "types": 6, "kernel": 1, "stride": 1, "dim": 4, "parents": 2, "parent dim": 16}


def test_every_routing_is_measured_in_the_same_layer(monkeypatch):
    monkeypatch.setattr(routings, "DENSE", TINY)
    monkeypatch.setattr("capsnet.bench.routings.added_megabytes", lambda bench, label, device, *sizes: sum(sizes))
    monkeypatch.setattr("capsnet.bench.runner.find_ceilings", lambda device: CEILINGS)
    forward, both = run(["routings"], CPU, quick=True, rounds=1)["rows"]
    assert set(ROUTINGS.names()) < set(forward["times"])
    assert next(iter(forward["times"])) == "uniform"
    assert {"dynamic, fused", "em, recomputed"} < set(both["times"])
    assert both["votes"] == pytest.approx(4 * 32 * 6 * 2 * 16 / 2**20, abs=0.1)
    assert both["megabytes"]["em"] == 32 + sum(TINY.values())
    assert both["case"]["pass"] == "forward and backward"


def test_votes_of_windows_are_counted_at_every_place():
    step = routings.Step(routings.Path("uniform"), 2, routings.CONV, CPU)
    votes = step.layer.votes(step.layer.gather(step.children))
    assert routings.count_votes(2, routings.CONV) == 4 * votes.numel() / 2**20


def test_memory_of_a_routing_is_measured_after_a_first_small_step():
    step = routings.peak_step("em, recomputed", CPU, 2, *TINY.values())
    assert step.layer.routing.recompute
    step.train()


def test_a_peak_that_cannot_be_reset_is_told(monkeypatch, caplog):
    monkeypatch.setattr(memory, "_reset_peak", lambda: False)
    memory.peak_of(lambda: None, CPU)
    assert "the memory measured may be too little" in caplog.text


def test_memory_is_measured_on_the_device_that_is_asked_for(monkeypatch):
    commands = []
    monkeypatch.setattr(
        memory.subprocess, "run", lambda command, **_: commands.append(command) or SimpleNamespace(stdout="1.5")
    )
    assert added_megabytes("step", "plain", torch.device("cuda:1"), 2, 28) == 1.5
    assert "cuda:1" in commands[0]
