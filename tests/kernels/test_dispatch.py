"""The choice between a kernel and its plain function."""

import logging
import subprocess
import sys

import pytest
import torch

from capsnet import kernels
from capsnet.errors import UserError
from capsnet.kernels.dynamic_routing import dynamic_routing

POSES, WEIGHT = torch.zeros(16, 3, 2), torch.zeros(3, 2, 2, 4)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.delenv("CAPSNET_KERNELS", raising=False)
    kernels._log_once.cache_clear()


def test_a_kernel_is_found_when_it_applies():
    assert kernels.fused("dynamic_routing", POSES, WEIGHT) is dynamic_routing


def test_plain_is_chosen_by_a_with_block():
    with kernels.use("plain"):
        assert kernels.fused("dynamic_routing", POSES, WEIGHT) is None
        with kernels.use("auto"):
            assert kernels.fused("dynamic_routing", POSES, WEIGHT) is dynamic_routing
    assert kernels.mode() == "auto"


def test_plain_is_chosen_by_the_environment(monkeypatch):
    monkeypatch.setenv("CAPSNET_KERNELS", "plain")
    assert kernels.fused("dynamic_routing", POSES, WEIGHT) is None
    with kernels.use("auto"):
        assert kernels.fused("dynamic_routing", POSES, WEIGHT) is dynamic_routing


def test_an_unknown_mode_is_the_users_fault(monkeypatch):
    monkeypatch.setenv("CAPSNET_KERNELS", "fast")
    with pytest.raises(UserError, match="'auto', 'torch' or 'plain', got 'fast'"):
        kernels.mode()


def test_a_refusal_is_logged_once(caplog):
    caplog.set_level(logging.INFO, "capsnet")
    for _ in range(2):
        assert kernels.fused("dynamic_routing", POSES.double(), WEIGHT) is None
    (record,) = caplog.records
    assert "dynamic_routing: plain implementation, because its tensors have several types" in record.message


def test_kernels_import_neither_routing_nor_triton():
    code = (
        "import sys, types; package = types.ModuleType('capsnet'); package.__path__ = [sys.argv[1]]\n"
        "sys.modules['capsnet'] = package; import capsnet.kernels.dynamic_routing\n"
        "print(*(name for name in ('capsnet.routing', 'capsnet.layers', 'triton') if name in sys.modules))"
    )
    folder = kernels.__file__.removesuffix("/kernels/__init__.py")
    result = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
