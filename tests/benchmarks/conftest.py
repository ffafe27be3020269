"""Scripts of benchmarks/ as modules."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """`load("benchmarks/backbones.py")` imports a file of the checkout anew, for one test."""

    def load_file(file: str) -> ModuleType:
        name = file.removesuffix(".py").replace("/", "_")
        spec = importlib.util.spec_from_file_location(name, ROOT / file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load_file


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    """Some scripts run on one thread."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
