import json
import socket
import subprocess
import sys
import warnings

import pytest
import torch
from tests.c_compiler import needs_compiler

from capsnet import doctor
from capsnet.cli import main
from capsnet.kernels import native
from capsnet.kernels.compiler import find_compiler


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A machine without data and with an empty cache."""
    monkeypatch.delenv("CAPSNET_DATA_DIR", raising=False)
    monkeypatch.setenv("CAPSNET_KERNELS", "auto")
    # compiled here, the package's kernels are not compiled again for each test
    native.refusals()
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(native, "sources", lambda: [])
    monkeypatch.setattr("capsnet.doctor.kernels.resolve_device", lambda name: torch.device("cpu"))
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


@needs_compiler
def test_kernels_in_c_are_listed_with_their_compiler(alone, monkeypatch):
    sources = [alone / "twice.c", alone / "broken.c"]
    sources[0].write_text("int twice(int number) { return 2 * number; }")
    sources[1].write_text("no C")
    monkeypatch.setattr(native, "sources", lambda: sources)
    kernels = doctor.examine()["kernels"]
    assert kernels.lines["C compiler"] == kernels.values["c_compiler"] == find_compiler().version
    assert kernels.lines["kernels in C"] == "twice"
    assert kernels.values["kernels_in_c"]["twice"] == {"used": True, "reason": None}
    reason = kernels.values["kernels_in_c"]["broken"]["reason"]
    assert kernels.warnings == (f"kernels: {reason}; training on this CPU is slower without kernels in C (broken)",)


def test_missing_compiler_is_a_warning_with_its_remedy(alone, monkeypatch):
    monkeypatch.setattr(native, "sources", lambda: [alone / "twice.c", alone / "thrice.c"])
    monkeypatch.setenv("CC", "")
    monkeypatch.setenv("PATH", "")
    kernels = doctor.examine()["kernels"]
    assert kernels.values["c_compiler"] is None
    assert kernels.lines["C compiler"] == "none: there is no C compiler; install gcc or clang"
    assert kernels.lines["kernels in C"] == "none"
    assert kernels.warnings == (
        "kernels: there is no C compiler; install gcc or clang; "
        "training on this CPU is slower without kernels in C (twice, thrice)",
    )


def test_kernels_in_c_that_are_switched_off_are_a_warning(alone, monkeypatch):
    monkeypatch.setenv("CAPSNET_KERNELS", "torch")
    (warning,) = doctor.examine()["kernels"].warnings
    assert warning == "kernels: CAPSNET_KERNELS is torch; training on this CPU is slower without kernels in C"


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


def test_nothing_heavy_is_loaded_for_it():
    script = "import sys; from capsnet.cli import main; main(['doctor', '--json']); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    loaded = set(said.splitlines()[-1].split())
    assert not {"matplotlib", "sklearn", "scipy", "pooch", "triton", "tensorboard", "torch._dynamo", "sympy"} & loaded
