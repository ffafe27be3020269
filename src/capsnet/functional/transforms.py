"""Whether a transform of `torch.func` is active."""

import torch


def is_transformed() -> bool:
    """Whether this code runs inside `vmap`, `grad` or another transform of `torch.func`.

    Autograd functions without the rules of the transforms, and kernels that read memory, must not be called there.
    """
    # a compiler traces through the transforms by itself
    return not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None
