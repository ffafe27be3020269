import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from capsnet.errors import UserError
from capsnet.models import create_model
from capsnet.runs import Run, RunConfig, files
from capsnet.runs.folder import opened_for_export
from capsnet.runs.lock import FolderLock
from capsnet.runs.weights import ModelSpec, save_weights


def test_folders_that_are_no_runs_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such run folder"):
        Run.open(tmp_path / "nothing")
    with pytest.raises(UserError, match="is not a run folder"):
        Run.open(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is not JSON"):
        Run.open(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"format_version": 99}))
    with pytest.raises(UserError, match="newer capsnet"):
        Run.open(tmp_path)


def test_run_is_opened_by_a_path_of_either_kind(tiny_run):
    assert Run.open(str(tiny_run.folder)) == Run.open(tiny_run.folder) == tiny_run


def test_run_without_weights_says_how_to_go_on(tmp_path):
    run = Run.create(tmp_path / "run", RunConfig())
    with pytest.raises(UserError, match="no weights yet; go on with capsnet train --resume"):
        run.load_model()
    assert run.metrics() == []
    assert run.evaluation() is None


def test_notebook_shows_a_run_by_its_numbers_and_no_pictures(tiny_run):
    page = tiny_run._repr_html_()
    assert f"<b>{tiny_run.folder.name}</b>: capsnet-tiny on digits" in page
    assert f"test error <b>{tiny_run.evaluation()['test']['error_percent']:.2f} %</b> of 359 images" in page
    assert "<img" not in page


def test_notebook_shows_how_to_continue_a_run_that_is_not_finished(tmp_path):
    page = Run.create(tmp_path / "<run>", RunConfig())._repr_html_()
    assert "<b>&lt;run&gt;</b>" in page
    assert f"capsnet train --resume &#x27;{tmp_path}/&lt;run&gt;&#x27;" in page


def test_folder_that_a_killed_process_left_over_is_taken(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".config.json.part").write_text("{")
    (folder / ".lock").touch()
    Run.create(folder, RunConfig(), {"device": "cpu"})
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "config.json", "environment.json"]
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("name", ["weights.safetensors", "notes.txt", ".hidden", "metrics.csv"])
def test_folder_that_holds_anything_of_value_is_left_alone(name, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / name).write_text("of value")
    with pytest.raises(UserError, match="exists; give another `out`"):
        Run.create(folder, RunConfig())
    assert [path.name for path in folder.iterdir()] == [name]
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("name", ["config.json", "environment.json"])
def test_kill_while_a_folder_is_made_leaves_none_of_its_name(name, tmp_path, monkeypatch):
    whole = files.write_bytes

    def killed(path, data):
        if path.name == name:
            raise KeyboardInterrupt
        whole(path, data)

    monkeypatch.setattr(files, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        Run.create(tmp_path / "run", RunConfig(), {})
    assert not (tmp_path / "run").exists()


def test_runs_that_start_together_get_folders_of_their_own(tmp_path):
    program = f"""
import sys
from pathlib import Path
from capsnet.runs.config import RunConfig
from capsnet.runs.folder import create_locked, new_folder
folder = new_folder("quick", Path({str(tmp_path)!r}))
print("ready", flush=True)
sys.stdin.readline()
run, lock = create_locked(folder, RunConfig(), {{}}, numbered=True)
print(run.folder.name)
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", program], **pipes) for _ in range(3)]
    # all three chose the same name, which was free
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    names = [process.communicate("\n")[0].strip() for process in processes]
    assert sorted(names) == ["quick", "quick-2", "quick-3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_lock_goes_with_the_process_that_held_it(tmp_path):
    program = f"""
import time
from pathlib import Path
from capsnet.runs.lock import FolderLock
lock = FolderLock(Path({str(tmp_path)!r}))
print("locked", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(UserError, match=f"process {process.pid} on .* is at work on this run"):
        FolderLock(tmp_path)
    process.kill()
    process.communicate()
    FolderLock(tmp_path).release()


def test_read_only_file_system_is_said_in_one_line(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"run cannot be created \(Read-only file system\)"):
        Run.create(tmp_path / "run", RunConfig())


def copy_of(run, folder):
    shutil.copytree(run.folder, folder)
    return Run.open(folder)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("evaluation.json", b"\xff", r"evaluation.json is not UTF-8 \(byte 0\)"),
        ("evaluation.json", b"{", "evaluation.json is not JSON"),
        ("evaluation.json", b"[" * 100_000, "evaluation.json: its JSON is nested too deeply"),
        ("evaluation.json", b"[" * 50 + b"]" * 50, "nested too deeply, the limit is 32 levels"),
        ("evaluation.json", b"[1]", "evaluation.json: it must be an object, got [1]"),
        ("evaluation.json", b'{"test": [1]}', "evaluation.json: the entry 'best_step' is missing"),
        ("environment.json", b'"x"', "environment.json: it must be an object, got 'x'"),
        ("metrics.csv", b"\xff\n", "metrics.csv is not UTF-8"),
        ("metrics.csv", b"step,loss\n1,x\n", "metrics.csv: line 2 must be 2 numbers, got '1,x'"),
        ("metrics.csv", b"step,loss\n1,2,3\n", "metrics.csv: line 2 must be 2 numbers, got '1,2,3'"),
        ("metrics.csv", b"step,loss\n,3\n", "metrics.csv: line 2 must have an integer as step"),
        ("metrics.csv", b"a,b\n1,2\n", "metrics.csv: its columns must be step, "),
    ],
)
def test_damaged_file_of_a_run_is_named_with_its_fault(tiny_run, tmp_path, name, content, words):
    run = copy_of(tiny_run, tmp_path / "run")
    (run.folder / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        (run.evaluation(), run.environment(), run.metrics())
    assert words.replace("\\", "") in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("test",), [1], "the entry 'test' must be an object, got [1]"),
        (("test", "n"), "many", "the entry 'test.n' must be an integer, got 'many'"),
        (("test", "n"), 0, "0 images and an accuracy of"),
        (("test", "accuracy"), 7, "and an accuracy of 7 are not those of a test"),
        (("test", "margin_loss"), float("nan"), "the entry 'test.margin_loss' must be a finite number, got nan"),
        (("test", "confusion"), [[1, 2]], "'confusion' must be a square table"),
        (("test", "confusion"), [[1], "x"], "the entry 'test.confusion[1]' must be a list, got 'x'"),
        (("step",), 10**30, "the entry 'step' must be below 2**63"),
        (("step",), True, "the entry 'step' must be an integer, got True"),
        (("validation", "n"), None, "the entry 'validation.n' must be an integer, got None"),
    ],
)
def test_wrong_entry_of_an_evaluation_is_named(tiny_run, tmp_path, path, value, words):
    run = copy_of(tiny_run, tmp_path / "run")
    whole = json.loads((run.folder / "evaluation.json").read_text())
    part = whole
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    (run.folder / "evaluation.json").write_text(json.dumps(whole))
    with pytest.raises(UserError) as caught:
        run.evaluation()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("section", "values", "words"),
    [
        ("augmentation", {"enlarge": 20_000}, "'augmentation.enlarge' is 20000, the limit is 4,096"),
        ("model", {"iterations": 10**7}, "'model.iterations' is 10000000, the limit is 1,000"),
        ("data", {"image_size": 50_000}, "'data.image_size' is 50000, the limit is 4,096"),
        ("model", {"options": {"depth": 10**9}}, "'model.options.depth' is 1000000000, the limit is 1,000"),
        ("optimizer", {"epochs": "x"}, "'optimizer.epochs' must be an integer or null, got 'x'"),
        ("optimizer", {"lr": None}, "'optimizer.lr' must be a number, got None"),
        ("model", {"options": []}, "'model.options' must be an object, got []"),
        ("run", {"device": "tpu"}, "'run.device' must be one of 'auto', 'cpu', 'cuda', got 'tpu'"),
        ("optimizer", {"lr": float("inf")}, "'optimizer.lr' must be a finite number, got inf"),
    ],
)
def test_wrong_entry_of_a_configuration_is_named(section, values, words, tmp_path):
    run = Run.create(tmp_path / "run", RunConfig())
    whole = json.loads((run.folder / "config.json").read_text())
    (run.folder / "config.json").write_text(json.dumps(whole | {section: whole[section] | values}))
    with pytest.raises(UserError) as caught:
        Run.open(run.folder)
    assert words in str(caught.value)


def test_a_model_that_was_exported_is_as_it_was():
    model = create_model("capsnet-tiny").train()
    with opened_for_export(model) as (same, run):
        assert (same is model, model.training, run) == (True, False, None)
    assert model.training


def test_weights_of_another_network_in_a_run_are_refused(tiny_run, tmp_path):
    shutil.copytree(tiny_run.folder, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    other = create_model("resnet-20", image_shape=(1, 28, 28), num_classes=10)
    spec = ModelSpec("resnet-20", {}, run.load_model().class_names, "digit", "digits")
    save_weights(run.weights_path, other, spec)
    with pytest.raises(UserError, match=r"holds weights of resnet-20, the run.s config\.json describes capsnet-tiny"):
        run.load_model()
