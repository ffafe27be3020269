"""What the exchange of gradients costs, by the formula of a ring: an estimate on paper, for docs/distributed.md.

Patarasuk, Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", JPDC 2009. Vogels, Karimireddy,
Jaggi, "PowerSGD", NeurIPS 2019. Stich, "Local SGD Converges Fast and Communicates Little", ICLR 2019.
"""

import torch

from capsnet.models import create_model

MARKS = "<!-- communication: made by docs/fill.py -->", "<!-- end of communication -->"
# gigabytes per second and direction of one GPU, and microseconds of one message
NETWORKS = {"NVLink, 400 GB/s": (400.0, 2.0), "InfiniBand, 50 GB/s": (50.0, 5.0), "Ethernet, 3 GB/s": (3.0, 20.0)}
PROCESSES = (8, 64, 512)
RANK = 4
LOCAL_STEPS = 16
HEAD = "| exchanged | MB per step and GPU, {counts} GPUs | {networks} |\n|---|---|{rules}|"


def table() -> str:
    """Bytes and milliseconds of a step of the paper's network, by what is exchanged."""
    with torch.device("meta"):
        shapes = [parameter.shape for parameter in create_model("capsnet").parameters()]
    numbers = sum(shape.numel() for shape in shapes)
    rows = {
        "gradients, fp32": 4.0 * numbers,
        "gradients, bf16 (`bf16_compress_hook`)": 2.0 * numbers,
        f"PowerSGD of rank {RANK}": 4.0 * sum(map(_low_rank, shapes)),
        f"weights, every {LOCAL_STEPS} steps (local SGD)": 4.0 * numbers / LOCAL_STEPS,
    }
    lines = [
        HEAD.format(
            counts=", ".join(map(str, PROCESSES)),
            networks=" | ".join(f"{name}, ms" for name in NETWORKS),
            rules="---|" * (len(NETWORKS) - 1) + "---",
        )
    ]
    for name, size in rows.items():
        moved = ", ".join(f"{_moved(size, count) / 1e6:.2g}" for count in PROCESSES)
        times = [
            ", ".join(f"{_milliseconds(size, count, *network):.2g}" for count in PROCESSES)
            for network in NETWORKS.values()
        ]
        lines.append(f"| {name} | {moved} | {' | '.join(times)} |")
    intro = (
        f"The paper's network has {numbers:,} parameters, that is {4 * numbers / 1e6:.1f} MB of gradients. "
        "The times for 8, 64 and 512 GPUs are estimates by the formulas of a tree and of a ring, whichever is faster; "
        "none was measured:"
    )
    return "\n".join([intro, "", *lines])


def _low_rank(shape: torch.Size) -> int:
    """Numbers that PowerSGD sends for a tensor: two factors of its matrix, or the tensor where that is less."""
    rows, columns = shape[0], shape.numel() // shape[0]
    return min(RANK * (rows + columns), shape.numel())


def _moved(size: float, count: int) -> float:
    """Bytes that each process sends for an all-reduce by a ring."""
    return 2 * size * (count - 1) / count


def _milliseconds(size: float, count: int, speed: float, latency: float) -> float:
    """Time of an all-reduce: by a ring its messages are many and small, by a tree few and whole."""
    ring = _moved(size, count) / speed / 1e6 + 2 * (count - 1) * latency / 1e3
    tree = 2 * size / speed / 1e6 + 2 * (count - 1).bit_length() * latency / 1e3
    return min(ring, tree)
