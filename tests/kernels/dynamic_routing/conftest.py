"""Where the fused routing is tested: this machine's CPU, its GPU if it has one, or Triton's interpreter."""

import os
from collections.abc import Iterator

import pytest
import torch

from capsnet.kernels.dynamic_routing import cpu, op

if os.environ.get("TRITON_INTERPRET") == "1":
    PLACES = ["interpreter"]
else:
    PLACES = ["cpu", "cpu without C", "cpu in pieces", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(params=PLACES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Choose an implementation; give the device whose tensors go to it."""
    if request.param in ("cpu without C", "cpu in pieces"):
        monkeypatch.setenv("CAPSNET_KERNELS", "torch")
    if request.param == "cpu in pieces":
        monkeypatch.setattr(cpu, "_IMAGES", 5)
        monkeypatch.setattr(cpu, "_NUMBERS", 2**12)
    if request.param == "interpreter":
        triton = pytest.importorskip("capsnet.kernels.dynamic_routing.triton", reason="Triton is not installed")
        # few large pieces take the interpreter less time: still several of samples, of children, and of 40 parents
        monkeypatch.setattr(triton, "_SAMPLES", 8)
        monkeypatch.setattr(triton, "_ROWS", 64)
        monkeypatch.setattr(triton, "_MATRIX", 2**14)
        monkeypatch.setattr(triton, "_PROGRAMS", 3)
        monkeypatch.setattr(op, "_implementation", lambda poses: triton)
    return "cuda" if request.param == "cuda" else "cpu"


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fill memory that is taken without a value with NaN."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = before
