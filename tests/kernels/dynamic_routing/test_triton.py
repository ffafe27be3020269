"""The Triton implementation in Triton's interpreter; on a GPU the other files of this folder test it compiled."""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from packaging.version import Version

HAS_TRITON = importlib.util.find_spec("triton") is not None
# Triton 3.6, which torch 2.11 pins for CUDA, converts arrays of one number as NumPy 2.4 no longer does
BROKEN = (
    HAS_TRITON
    and Version(importlib.metadata.version("triton")) < Version("3.7")
    and Version(np.__version__) >= Version("2.4")
)


@pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")
@pytest.mark.skipif(BROKEN, reason="the interpreter of Triton before 3.7 needs NumPy below 2.4")
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="this is the interpreter's own run")
def test_parity_in_the_interpreter():
    # Triton reads the variable when it is imported, and the type checks of the tests cannot wrap a kernel
    options = [
        "-q",
        "-x",
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
