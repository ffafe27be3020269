"""Train on photos that exceed a memory limit, and compare the throughput of shards with that of memory.

    python benchmarks/larger_than_memory.py --gigabytes 4 --limit-gigabytes 1.5 --out result.json

Makes synthetic photos, trains on them in a control group (version 1, Linux, root) with the memory limit, trains on
fewer of them with and without shards in turns, reads batches alone both ways, writes JSON and removes everything it
made. Anonymous memory is that of the training process (`RssAnon`); mapped files, which the system drops when it needs
room, are not part of it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from capsnet.data import load_data
from capsnet.data.shards import Shards
from capsnet.data.stored import StoredImages
from capsnet.training.device import find_commit, find_processor
from capsnet.training.read_ahead import ReadAhead

_SIDE, _CLASSES = 256, 4
_BYTES = 3 * _SIDE * _SIDE
_BATCH = 64
_KEPT: dict[str, Shards] = {"shards": "always", "memory": "never"}
_GROUP = Path("/sys/fs/cgroup/memory/capsnet-larger-than-memory")


def make_photos(folder: Path, count: int) -> None:
    """Write JPEG files of coarse colour patterns, one class for each of four tints."""
    random = np.random.default_rng(0)
    for number in range(count):
        label = number % _CLASSES
        small = random.integers(0, 180, (8, 8, 3), np.uint8)
        small[..., label % 3] += 25 * label
        path = folder / f"class {label}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(small).resize((_SIDE, _SIDE), Image.Resampling.NEAREST).save(path, quality=80)


def train_in_process(photos: Path, out: Path, shards: str, steps: int, limit: float | None) -> dict[str, object]:
    """Train in a process of its own and measure its memory.

    Args:
        photos: folder of class folders.
        out: folder of the run.
        shards: `always` or `never`.
        steps: training steps.
        limit: gigabytes that the process and the page cache it fills may take; None: no limit.
    """
    command = [sys.executable, "-m", "capsnet", "train", "--data", str(photos), "--image-size", str(_SIDE)]
    command += ["--shrink", "32", "--model", "capsnet-tiny", "--steps", str(steps), "--out", str(out)]
    command += ["--shards", shards, "--device", "cpu"]
    command += ["--validation", "256", "--test-limit", "256", "--batch-size", str(_BATCH), "--json"]
    if limit is not None:
        _GROUP.mkdir(exist_ok=True)
        (_GROUP / "memory.limit_in_bytes").write_text(str(int(limit * 1e9)))

    def enter() -> None:
        if limit is not None:
            (_GROUP / "cgroup.procs").write_text(str(os.getpid()))

    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=enter)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _anonymous_memory(process.pid))
        time.sleep(0.1)
    assert process.stdout is not None
    result = json.loads(process.stdout.read()) if process.returncode == 0 else {}
    measured: dict[str, object] = {
        "exit_status": process.returncode,
        "peak_anonymous_gigabytes": peak / 1e9,
        "images_per_second": result.get("images_per_second"),
        "seconds": time.monotonic() - start,
    }
    if limit is not None:
        measured["limit_gigabytes"] = limit
        _GROUP.rmdir()
    return measured


def read_batches(photos: Path, shards: Shards) -> float:
    """Images per second of an epoch's batches in random order, without a network: the best of five epochs."""
    images = load_data(str(photos), image_size=_SIDE, shards=shards).train.images
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    parts = [slice(start, start + _BATCH) for start in range(0, len(images) - _BATCH + 1, _BATCH)]
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        if isinstance(images, StoredImages):
            ahead = ReadAhead(images, order, parts)
            for part in parts:
                ahead.take(order[part])
            ahead.close()
        else:
            for part in parts:
                images[order[part]]
        seconds.append(time.perf_counter() - start)
    return len(parts) * _BATCH / min(seconds)


def _anonymous_memory(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def main() -> None:
    """Make, train, measure, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="decoded pixels in all")
    parser.add_argument("--limit-gigabytes", type=float, default=1.5)
    parser.add_argument("--compare-gigabytes", type=float, default=0.5, help="pixels of the comparison with memory")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--compare-steps", type=int, default=100)
    parser.add_argument("--turns", type=int, default=3, help="measurements of each side of the comparison")
    parser.add_argument("--folder", type=Path, help="where photos and shards lie meanwhile")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="larger-than-memory-", dir=options.folder))
    os.environ["CAPSNET_CACHE_DIR"] = str(folder / "cache")
    try:
        sizes = {"all": options.gigabytes, "some": options.compare_gigabytes}
        for name, gigabytes in sizes.items():
            make_photos(folder / name, int(gigabytes * 1e9 / _BYTES))
        limited = train_in_process(folder / "all", folder / "limited", "always", options.steps, options.limit_gigabytes)
        # first once to prepare the shards
        train_in_process(folder / "some", folder / "prepare", "always", 1, None)
        turns = [
            {
                kept: train_in_process(folder / "some", folder / f"{kept} {turn}", choice, options.compare_steps, None)
                for kept, choice in _KEPT.items()
            }
            for turn in range(options.turns)
        ]
        result = {
            "command": " ".join(["python benchmarks/larger_than_memory.py", *sys.argv[1:]]),
            "machine": f"{find_processor()}, {os.cpu_count()} cores",
            "commit": find_commit(),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "load": os.getloadavg()[1],
            "photos": int(options.gigabytes * 1e9 / _BYTES),
            "gigabytes": options.gigabytes,
            "limited": limited,
            "compared_gigabytes": options.compare_gigabytes,
            "turns": turns,
            "loading": {kept: read_batches(folder / "some", choice) for kept, choice in _KEPT.items()},
        }
    finally:
        shutil.rmtree(folder)
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
