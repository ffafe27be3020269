"""The files that several tests of exports read."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from filelock import FileLock


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of `exports.py`; workers that run side by side share it."""
    if not all(find_spec(name) for name in ("onnx", "onnxruntime", "onnxscript")):
        pytest.skip("needs the extra: pip install 'capsnet[onnx]'")
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "exports"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "whole").is_file():
            folder.mkdir()
            script = Path(__file__).with_name("exports.py")
            done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            (folder / "whole").touch()
    return folder
