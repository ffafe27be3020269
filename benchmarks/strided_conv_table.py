"""Measure from how many images on the fast convolution wins on this machine, and write its rows of the table.

    python benchmarks/strided_conv_table.py

It measures the kernel in C if there is a compiler and `CAPSNET_KERNELS` is not `torch`. Other rows stay. Run it on a
quiet machine: the two ways are timed in turn, forward and backward, at the size of the paper's primary capsules.
"""

import json

import torch
from torch import Tensor
from torch.nn import functional as F

from capsnet.bench.measure import Work, interleave
from capsnet.kernels import native
from capsnet.kernels.strided_conv import compiled
from capsnet.kernels.strided_conv.op import strided_conv2d
from capsnet.kernels.strided_conv.table import TABLE, Row, instructions

BATCHES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
ROUNDS = 7
# a near tie must not be decided by noise
MARGIN = 1.1


def times(batch: int, half: bool) -> tuple[float, float]:
    """Median milliseconds of torch's convolution and of the fast one, forward and backward, in turn."""
    x = torch.randn(batch, 256, 20, 20).relu()
    weight = (0.01 * torch.randn(256, 256, 9, 9)).requires_grad_()
    x = (x.bfloat16() if half else x).requires_grad_()
    # what the layer before gives: in C it writes channels last
    order = torch.channels_last if native.refuses(compiled.SOURCE) is None else torch.contiguous_format
    ordered = x.detach().contiguous(memory_format=order).requires_grad_()

    def backward(images: Tensor, output: Tensor) -> None:
        torch.autograd.grad(output, (images, weight), torch.ones_like(output))

    works: dict[str, Work] = {
        "plain": lambda: backward(x, F.conv2d(x, weight.to(x.dtype), stride=2)),
        "fast": lambda: backward(ordered, strided_conv2d(ordered, weight, None, [2, 2])),
    }
    found = interleave(works, rounds=ROUNDS, device=torch.device("cpu"))
    return found["plain"]["median"], found["fast"]["median"]


def least(half: bool) -> int | None:
    """The smallest batch from which on the fast convolution wins clearly."""
    answer = None
    for batch in reversed(BATCHES):
        plain, fast = times(batch, half)
        print(f"{batch:4} images: torch {plain:6.0f} ms, fast {fast:6.0f} ms, {plain / fast:.2f} times")
        if fast * MARGIN > plain:
            break
        answer = batch
    return answer


def _key(row: Row) -> tuple[str, str, bool]:
    return row["instructions"], row["type"], row["compiled"]


def main() -> None:
    """Measure both types and write the table."""
    rows: list[Row] = json.loads(TABLE.read_text())["rows"]
    for half in (False, True):
        name = "bfloat16" if half else "float32"
        print(f"{name}, {instructions()}, {torch.get_num_threads()} threads")
        row: Row = {
            "instructions": instructions(),
            "type": name,
            "threads": torch.get_num_threads(),
            "compiled": native.refuses(compiled.SOURCE) is None,
            "images": least(half),
        }
        rows = [other for other in rows if _key(other) != _key(row)] + [row]
    rows.sort(key=_key)
    lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    TABLE.write_text(f'{{\n  "rows": [\n{lines}\n  ]\n}}\n')


if __name__ == "__main__":
    main()
