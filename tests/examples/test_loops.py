"""Other people's loops: each example learns on a small budget."""

import importlib.util
import sys
import types
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_capsule_layers_learn_in_a_plain_loop():
    assert load("plain_torch_loop").main(epochs=4, images=512) > 0.6


@pytest.mark.filterwarnings("ignore:.*(num_workers|log_every_n_steps|GPU|LeafSpec|tensorboard|litlogger).*")
def test_a_model_learns_in_lightning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load("lightning_trainer").main(epochs=3, batches=16) > 0.6


def test_a_model_learns_in_accelerate():
    assert load("accelerate_loop").main(epochs=3, images=512) > 0.6


@pytest.fixture
def trackers(monkeypatch):
    """Modules with the functions of wandb and mlflow that the callbacks use; they write down what they are told."""
    told = {"wandb": [], "mlflow": []}

    def record(module, function):
        return lambda *args, **options: told[module].append((function, args, options))

    run = types.SimpleNamespace(log=record("wandb", "log"), finish=record("wandb", "finish"), summary={})

    def init(**options):
        told["wandb"].append(("init", (), options))
        return run

    functions = ("log_params", "log_metrics", "log_metric", "end_run", "start_run")
    mlflow = types.SimpleNamespace(**{name: record("mlflow", name) for name in functions})
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    return told, run


def test_runs_are_logged_to_weights_and_biases_and_mlflow(trackers, tmp_path):
    told, wandb_run = trackers
    run = load("log_elsewhere").main(epochs=1, limit=128, out=tmp_path / "run")
    rows = [dict(row) for row in run.metrics()]
    error = run.evaluation()["test"]["error_percent"]
    first, *logged, last = told["wandb"]
    assert (first[0], last) == ("init", ("finish", (), {"exit_code": 0}))
    assert first[2]["config"]["model"] == "capsnet-tiny"
    assert [options["step"] for _, _, options in logged] == [row["step"] for row in rows]
    # the file has nine digits
    assert logged[-1][1][0]["validation_accuracy"] == pytest.approx(rows[-1]["validation_accuracy"], rel=1e-8)
    assert wandb_run.summary == {"test_error_percent": error}
    metrics = [(args, options) for name, args, options in told["mlflow"] if name == "log_metrics"]
    assert [args[0]["loss"] for args, _ in metrics] == [options[1][0]["loss"] for options in logged]
    assert told["mlflow"][-2:] == [("log_metric", ("test_error_percent", error), {}), ("end_run", ("FINISHED",), {})]


def test_a_callback_for_a_tracker_has_ten_lines():
    text = (EXAMPLES / "log_elsewhere.py").read_text()
    for name in ("WandbLogger", "MlflowLogger"):
        body = text.split(f"class {name}")[1].split("\n\n\n")[0]
        lines = [line for line in body.splitlines()[1:] if line.strip() and '"""' not in line]
        assert len(lines) <= 10, name
