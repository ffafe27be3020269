"""The process in which `memory.added_megabytes` measures one path of a benchmark."""

import sys

import torch

from capsnet.bench import BENCHES, routing, routings, step
from capsnet.bench.memory import peak_of
from capsnet.start import return_memory


def main(bench: str, path: str, device_name: str, *sizes: str) -> None:
    """Measure one path and print it."""
    if BENCHES.get(bench).trains:
        return_memory()
    device, numbers = torch.device(device_name), [int(size) for size in sizes]
    # libraries allocate memory on first use: run each path on a small case first
    if bench == "routing":
        tiny = dict(zip(routing.PAPER, (16, 8, 2, 2, 4, 3), strict=True))
        routing.train(path, tiny, routing.make(tiny, device))
        case = dict(zip(routing.PAPER, numbers, strict=True))
        tensors = routing.make(case, device)
        print(peak_of(lambda: routing.train(path, case, tensors), device))
    elif bench == "routings":
        print(peak_of(routings.peak_step(path, device, *numbers).train, device))
    else:
        batch, side = numbers
        step.make_paths(device, 16, side, "capsnet-tiny")[path]()
        work = step.make_paths(device, batch, side)[path]
        # the first step creates the optimiser's state, which is held between steps
        work()
        # the memory of a captured step is allocated at capture
        steps = step.STEPS_TO_CAPTURE if device.type == "cuda" else 1
        print(peak_of(lambda: [work() for _ in range(steps)], device))


if __name__ == "__main__":
    main(*sys.argv[1:])
