"""The files that several tests of exports read."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def exports(shared_folder: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The folder of `exports.py`."""
    if not all(find_spec(name) for name in ("onnx", "onnxruntime", "onnxscript")):
        pytest.skip("needs the extra: pip install 'capsnet[onnx]'")

    def write(folder: Path) -> None:
        script = Path(__file__).with_name("exports.py")
        done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return shared_folder("exports", write)
