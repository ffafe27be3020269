"""The Triton implementation in Triton's interpreter; on a GPU the other files of this folder test it compiled."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="this is the interpreter's own run")
def test_parity_in_the_interpreter():
    # Triton reads the variable when it is imported, and the type checks of the tests cannot wrap a kernel
    options = [
        "-q",
        "-x",
        "-k",
        "each_option or coupling or number or half",
        "--override-ini=addopts=",
        "-p",
        "no:cacheprovider",
    ]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(Path(__file__).with_name("test_parity.py"))],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
