"""The C compiler of this machine, for tests of kernels in C."""

import pytest

from capsnet.kernels import native

needs_compiler = pytest.mark.skipif(not native.find_compiler(), reason="needs a C compiler")
"""Mark of tests that compile."""
