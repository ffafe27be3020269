"""Train on photos that exceed a memory limit, and compare the throughput of shards with that of memory.

    python benchmarks/larger_than_memory.py --gigabytes 4 --limit-gigabytes 1.5 --out result.json

Makes synthetic photos, trains on them in a control group (version 1, Linux, root) with the memory limit, trains on the
first part of them with and without shards, writes JSON and removes everything it made. Anonymous memory is that of the
training process (`RssAnon`); mapped files, which the system drops when it needs room, are not part of it.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

_SIDE, _CLASSES = 256, 4
_BYTES = 3 * _SIDE * _SIDE
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
    command += [
        "--shrink",
        "32",
        "--model",
        "capsnet-tiny",
        "--steps",
        str(steps),
        "--out",
        str(out),
        "--shards",
        shards,
    ]
    command += ["--validation", "256", "--test-limit", "256", "--batch-size", "64", "--json"]
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
    parser.add_argument("--folder", type=Path, help="where photos and shards lie meanwhile")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="larger-than-memory-", dir=options.folder))
    os.environ["CAPSNET_CACHE_DIR"] = str(folder / "cache")
    try:
        sizes = {"all": options.gigabytes, "some": options.compare_gigabytes}
        for name, gigabytes in sizes.items():
            make_photos(folder / name, int(gigabytes * 1e9 / _BYTES))
        result = {
            "machine": f"{platform.machine()}, {os.cpu_count()} processors",
            "gigabytes": options.gigabytes,
            "limited": train_in_process(
                folder / "all", folder / "limited", "always", options.steps, options.limit_gigabytes
            ),
            "compared_gigabytes": options.compare_gigabytes,
            # first once to prepare the shards
            "prepare": train_in_process(folder / "some", folder / "prepare", "always", 1, None),
            "shards": train_in_process(folder / "some", folder / "shards", "always", options.steps, None),
            "memory": train_in_process(folder / "some", folder / "memory", "never", options.steps, None),
        }
    finally:
        shutil.rmtree(folder)
    text = json.dumps(result, indent=2)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
