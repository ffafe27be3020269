"""Time training steps of other implementations beside ours, in turn, on this machine.

    python benchmarks/peers/compare.py --out benchmarks/peers/MACHINE.json \\
      CapsNet-Keras=checkouts/keras:venvs/tf/bin/python CapsNet-Pytorch=checkouts/pytorch readable_capsnet=checkouts/ar

NAME=CHECKOUT[:PYTHON]: a name in `worker.py`, a checkout of it (CapsNet-Keras: branch tf2.2), and the Python that has
what it needs. All processes are started first. Each round then gives every one of them the same number of steps, one
after the other, so that a change of the machine's speed affects all. None of their code is in this repository.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from capsnet.training.device import describe_environment

HERE = Path(__file__).parent
OURS = ("capsnet", "capsnet-bf16")


class Worker:
    """A process of one implementation."""

    def __init__(self, name: str, checkout: str, python: str, batch: int) -> None:
        environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        if name in OURS:
            environment["PYTHONPATH"] = str(HERE.parents[1] / "src")
        words = [python, str(HERE / "worker.py"), name, checkout, str(batch)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=sys.stderr, text=True, env=environment)
        self.name, self.seconds = name, list[float]()

    def answer(self) -> str:
        """The next line, without what libraries print."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == "ready" or line.strip().replace(".", "", 1).replace("e-", "", 1).isdecimal():
                return line.strip()
        raise SystemExit(f"{self.name} ended; see its message above")

    def train(self, steps: int) -> float:
        """Seconds of some steps."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return float(self.answer())


def compare(peers: list[str], batch: int, rounds: int, steps: int) -> dict[str, object]:
    """Images per second of each, and the ratio of ours to each in the same round: medians with quartiles."""
    workers = [Worker(name, ".", sys.executable, batch) for name in OURS]
    for peer in peers:
        name, _, place = peer.partition("=")
        checkout, _, python = place.partition(":")
        workers.append(Worker(name, checkout, python or sys.executable, batch))
    for worker in workers:
        worker.answer()
    for number in range(rounds):
        for worker in workers if number % 2 == 0 else reversed(workers):
            worker.seconds.append(worker.train(steps))
    for worker in workers:
        worker.process.kill()
    images = {worker.name: [steps * batch / seconds for seconds in worker.seconds] for worker in workers}
    ratios = {
        f"{ours} / {worker.name}": quartiles([a / b for a, b in zip(images[ours], images[worker.name], strict=True)])
        for ours in OURS
        for worker in workers
        if worker.name not in OURS
    }
    return {"images_per_second": {name: quartiles(values) for name, values in images.items()}, "ratios": ratios}


def quartiles(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": round(median, 3), "low": round(low, 3), "high": round(high, 3)}


def main() -> None:
    """Compare, print and write."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", help="NAME=CHECKOUT[:PYTHON]")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    result = compare(words.peers, words.batch, words.rounds, words.steps)
    machine = describe_environment(torch.device("cpu"), "fp32")
    kept = {name: machine[name] for name in ("capsnet", "commit", "torch", "python", "processor", "threads", "date")}
    text = json.dumps(
        {"machine": kept, "batch": words.batch, "steps": words.steps, "rounds": words.rounds, **result}, indent=2
    )
    print(text)
    if words.out is not None:
        words.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
