import json
import socket
import subprocess
import sys
import warnings

import pytest
import torch

from capsnet import doctor
from capsnet.cli import main


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A machine without data and with an empty cache."""
    monkeypatch.delenv("CAPSNET_DATA_DIR", raising=False)
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def test_every_part_is_found_without_network_and_nothing_is_written(alone, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *args: 1 / 0)
    found = doctor.examine()
    assert list(found) == ["python", "torch", "device", "threads", "memory", "kernels", "data", "cache", "packages"]
    assert not [name for name, finding in found.items() if "broken" in finding.values]
    assert found["torch"].values["version"] == torch.__version__
    assert found["data"].values["found"]["mnist"] is None
    assert found["data"].values["found"]["digits"]
    assert not (alone / "cache").exists()


def test_data_are_found_where_a_run_finds_them(alone, monkeypatch):
    monkeypatch.setenv("CAPSNET_DATA_DIR", str(alone))
    files = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz")
    (alone / "mnist").mkdir()
    for file in files:
        (alone / "mnist" / file).touch()
    data = doctor.examine()["data"]
    assert data.values["found"]["mnist"] is None
    assert f"data: {alone / 'mnist'} exists, but lacks files that mnist needs" in data.warnings
    (alone / "mnist" / "t10k-labels-idx1-ubyte.gz").touch()
    data = doctor.examine()["data"]
    assert data.values["found"]["mnist"] == data.values["found"]["multimnist"] == str(alone / "mnist")
    assert "made from mnist" in data.lines["multimnist"]
    assert data.warnings == ()


@pytest.mark.parametrize(
    "files", [["cifar-10-binary.tar.gz"], [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]]
)
def test_either_form_of_cifar10_is_found(alone, monkeypatch, files):
    monkeypatch.setenv("CAPSNET_DATA_DIR", str(alone))
    (alone / "cifar10").mkdir()
    for file in files:
        (alone / "cifar10" / file).touch()
    assert doctor.examine()["data"].values["found"]["cifar10"] == str(alone / "cifar10")


def test_folder_of_data_that_is_none_is_a_warning(alone, monkeypatch):
    monkeypatch.setenv("CAPSNET_DATA_DIR", str(alone / "gone"))
    assert doctor.examine()["data"].warnings == (f"data: $CAPSNET_DATA_DIR is {alone / 'gone'}, which is not a folder",)


def test_kernels_say_which_calls_they_take(alone):
    kernels = doctor.examine()["kernels"]
    assert kernels.lines["dynamic routing"] == "fused"
    assert kernels.values["strided_conv"] == {"fused": True, "reason": None}


def test_kernels_that_are_switched_off_are_a_warning(alone, monkeypatch):
    monkeypatch.setenv("CAPSNET_KERNELS", "plain")
    assert "kernels: CAPSNET_KERNELS=plain disables all fused kernels" in doctor.examine()["kernels"].warnings


def test_full_disk_and_cache_that_cannot_be_written_are_warnings(alone, monkeypatch):
    (alone / "cache").touch()
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    unwritable, full = doctor.examine()["cache"].warnings
    assert "cannot be written to; set CAPSNET_CACHE_DIR" in unwritable
    assert "0.0 GB are free" in full


def test_packages_that_are_missing_or_old_come_with_the_line_that_installs_them(alone, monkeypatch):
    lines = ["torch>=99", "numpy", "nosuch>=2; extra == 'demo'", 'other; extra == "all"', "numpy; extra == 'all'"]
    monkeypatch.setattr("capsnet.doctor.packages.requires", lambda name: lines)
    packages = doctor.examine()["packages"]
    assert packages.lines["required"] == "1 of 2 installed as required"
    assert packages.lines["extra demo"] == "nosuch is missing: pip install 'capsnet[demo]'"
    assert packages.lines["extra all"] == "other is missing: pip install 'capsnet[all]'"
    (line,) = packages.warnings
    assert line.startswith(f"packages: torch is {torch.__version__}, required is >=99")


def test_a_broken_part_is_told_and_the_others_are_still_found(alone, monkeypatch, capsys):
    def warn():
        warnings.warn("the driver is old", stacklevel=1)
        return doctor.Finding({}, {})

    monkeypatch.setattr(doctor, "CHECKS", {**doctor.CHECKS, "memory": lambda: 1 / 0, "device": warn})
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["memory"] == {"broken": "ZeroDivisionError: division by zero"}
    assert "memory is broken: ZeroDivisionError: division by zero" in found["warnings"]
    assert "device: the driver is old" in found["warnings"]
    assert found["cache"]["writable"] is True


def test_table_is_for_people_and_ends_with_the_warnings(alone, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", {name: doctor.CHECKS[name] for name in ("kernels", "data")})
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("\nNo problems found.\n")
    monkeypatch.setenv("CAPSNET_KERNELS", "plain")
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("kernels\n")
    assert "\ndata\n" in out
    assert "\n\nwarning: kernels: CAPSNET_KERNELS=plain" in out
    assert max(map(len, out.partition("\ndata\n")[0].splitlines())) <= 80


def test_nothing_heavy_is_loaded_for_it(alone):
    script = "import sys; from capsnet.cli import main; main(['doctor', '--json']); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    loaded = set(said.splitlines()[-1].split())
    assert not {"matplotlib", "sklearn", "scipy", "pooch", "triton", "tensorboard", "torch._dynamo", "sympy"} & loaded
