"""Whether this machine has a C compiler, for tests of kernels in C."""

import pytest

from capsnet.kernels.compiler import find_compiler

NO_COMPILER = find_compiler() if isinstance(find_compiler(), str) else None

needs_compiler = pytest.mark.skipif(NO_COMPILER is not None, reason=f"needs a C compiler: {NO_COMPILER}")
"""Mark of tests that compile, or that state what only kernels in C do."""
