"""From how many images on the fast convolution is taken: a table by instruction set, type and compiler.

`benchmarks/strided_conv_table.py` measured it. It is part of the package: two runs on machines with the same
instructions, both with or both without a C compiler, compute in the same way, with any number of threads.
"""

import json
from functools import cache
from pathlib import Path
from typing import TypedDict

import torch

from capsnet.precision import multiplies_bfloat16
from capsnet.torch_internals import constant

TABLE = Path(__file__).with_name("table.json")


class Row(TypedDict):
    """One line of the table.

    `threads` is the number that was measured with; nothing depends on it. `images` is the least batch for which the
    fast way wins, for it and every larger batch that was measured; None: it never does. `compiled`: the fast way is
    that in C.
    """

    instructions: str
    type: str
    threads: int
    compiled: bool
    images: int | None


@constant
def least_images(type_name: str, *, compiled: bool) -> int | None:
    """The smallest batch for which the fast convolution pays here; None where it never does.

    Args:
        type_name: `"float32"`, `"float64"`, or `"bfloat16"` for autocast to it.
        compiled: whether C computes it.
    """
    return _least_images(instructions(), type_name, compiled)


@constant
def instructions() -> str:
    """The vector instructions that torch computes with: `"AVX2"`, `"AVX512"`, `"AVX512+bf16"`, or another name."""
    name = torch.backends.cpu.get_cpu_capability()
    return f"{name}+bf16" if name == "AVX512" and multiplies_bfloat16() else name


@cache
def _least_images(instruction_set: str, type_name: str, compiled: bool) -> int | None:
    every: list[Row] = json.loads(TABLE.read_text())["rows"]
    rows = [row for row in every if row["compiled"] == compiled]
    # an instruction set that was not measured takes the rows of the oldest that was, a type those of float32
    groups = [
        [row for row in rows if (row["type"], row["instructions"]) == (type_measured, instructions_measured)]
        for type_measured in (type_name, "float32")
        for instructions_measured in (instruction_set, "AVX2")
    ]
    return next(group for group in groups if group)[0]["images"]
