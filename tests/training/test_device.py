"""What a run computes on, and in which precision."""

import re
import subprocess
import sys

import pytest
import torch

from capsnet.errors import UserError
from capsnet.kernels import native
from capsnet.kernels.dynamic_routing.op import has_triton
from capsnet.precision import use_precision
from capsnet.training import device
from capsnet.training.device import compare_kernels, describe_environment, describe_precision, resolve_precision

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def settings():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("precision", "expected"), [("fp32", ("highest", False)), ("tf32", ("high", True)), ("bf16", ("medium", True))]
)
def test_precision_decides_how_a_gpu_multiplies_and_is_put_back(precision, expected):
    before = settings()
    with use_precision(precision, GPU):
        assert settings() == expected
    assert settings() == before


def test_precision_changes_nothing_on_a_cpu():
    before = settings()
    with use_precision("bf16", CPU):
        assert settings() == before


def test_tf32_without_a_gpu_is_refused():
    with pytest.raises(UserError, match=r"tf32 needs a CUDA device, this run is on cpu; use fp32"):
        resolve_precision("tf32", CPU)
    assert resolve_precision("tf32", GPU) == "tf32"


@pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
@pytest.mark.parametrize(
    ("precision", "expected"),
    [("fp32", (torch.float32, "tf32x3")), ("tf32", (torch.float32, "tf32")), ("bf16", (torch.bfloat16, "ieee"))],
)
def test_routing_on_a_gpu_multiplies_in_the_precision_of_the_run(precision, expected):
    from capsnet.kernels.dynamic_routing.triton import product_type

    with use_precision(precision, GPU):
        assert product_type(torch.float32) == expected
        assert product_type(torch.float64) == (torch.float64, "ieee")


def test_run_begun_in_bf16_elsewhere_is_noted(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr("torch.cpu.get_capabilities", dict)
    assert "slower than in fp32" in describe_precision("bf16", cpu)[0]
    assert describe_precision("fp32", cpu) == []
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    assert describe_precision("bf16", cpu) == []


@pytest.mark.parametrize(
    ("capability", "limit", "expected"),
    [
        ("AVX512", "", "bf16"),
        ("AVX512", "avx512_core_amx", "bf16"),
        ("AVX512", "avx512_core", "fp32"),
        ("AVX2", "", "fp32"),
    ],
)
def test_automatic_precision_keeps_to_the_instructions_that_are_allowed(monkeypatch, capability, limit, expected):
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert resolve_precision("auto", torch.device("cpu")) == expected


def test_commit_is_dirty_by_files_of_the_package_alone(tmp_path, monkeypatch):
    package = tmp_path / "src" / "capsnet"
    (package / "training").mkdir(parents=True)
    (package / "a.py").touch()
    (tmp_path / "results.json").touch()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(device, "__file__", str(package / "training" / "device.py"))
    commit = device.find_commit()
    assert re.fullmatch("[0-9a-f]{12}", commit)
    (tmp_path / "results.json").write_text("{}")
    assert device.find_commit() == commit
    (package / "a.py").write_text("1")
    assert device.find_commit() == f"{commit}-dirty"


def kernels_in(environment):
    return {name: environment[name] for name in ("kernels", "c_compiler") if name in environment}


def test_record_holds_the_kernels_and_their_compiler(monkeypatch):
    monkeypatch.setattr(native, "describe", lambda: "gcc 12")
    monkeypatch.setenv("CAPSNET_KERNELS", "auto")
    assert kernels_in(describe_environment(CPU, "fp32")) == {"kernels": "auto", "c_compiler": "gcc 12"}
    monkeypatch.undo()
    monkeypatch.setenv("CAPSNET_KERNELS", "torch")
    expected = {"kernels": "torch", "c_compiler": "none: CAPSNET_KERNELS is torch"}
    assert kernels_in(describe_environment(CPU, "fp32")) == expected


def test_record_of_a_gpu_names_no_c_compiler(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    assert "c_compiler" not in describe_environment(GPU, "fp32")


def test_record_without_the_folder_of_kernels_is_plain(monkeypatch):
    monkeypatch.setitem(sys.modules, "capsnet.kernels", None)
    assert kernels_in(describe_environment(CPU, "fp32")) == {"kernels": "plain"}


def test_run_that_continues_with_other_kernels_is_told_so(monkeypatch):
    monkeypatch.setenv("CAPSNET_KERNELS", "torch")
    before = {"kernels": "auto", "c_compiler": "gcc 12"}
    assert compare_kernels(before, CPU) == [
        "the run began with kernels auto and continues with torch: results differ by rounding",
        "the run began with c_compiler gcc 12 and continues with none: CAPSNET_KERNELS is torch: results differ by "
        "rounding",
    ]
    assert compare_kernels(describe_environment(CPU, "fp32"), CPU) == []


def test_run_that_continues_with_other_threads_is_told_so_unless_they_make_no_difference():
    before = {**describe_environment(CPU, "fp32"), "threads": 64}
    (note,) = compare_kernels(before, CPU)
    assert note.startswith(f"the run began with 64 threads and continues with {torch.get_num_threads()}: ")
    assert compare_kernels(before, CPU, fixed_order=True) == []


@pytest.mark.parametrize("recorded", [None, {}, {"torch": "2"}])
def test_older_run_continues_without_a_note(recorded):
    assert compare_kernels(recorded, CPU) == []
