"""An hour on a GPU, in order of worth, each part with a limit of time; the same call goes on where it was.

    python benchmarks/gpu_hour.py pack gpu-hour             # here: wheels and MNIST, for a machine without a network
    make gpu-hour                                           # there: all parts, with python3 and its torch
    python benchmarks/gpu_hour.py run gpu-hour --seconds 540    # stop before a limit; again, to go on
    python benchmarks/gpu_hour.py run /tmp/out --rehearse   # on a CPU with tiny limits: does every part start?

`OUT/parts.json` says of each part whether it is done, and its seconds; `OUT/NAME.log` holds what it printed. Runs and
tables are in `OUT/studies`, measurements in `OUT/bench.json`. Large weights are cut into pieces below 16 MiB:
`cat weights.safetensors.* > weights.safetensors`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
WHEELS = [
    "beartype",
    "docstring-parser",
    "jaxtyping",
    "platformdirs",
    "pooch",
    "rich",
    "shtab",
    "typeguard",
    "tyro",
    "wadler-lindig",
]
MNIST = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
PIECE = 15 << 20


@dataclass(frozen=True)
class Part:
    """One thing to measure.

    Args:
        name: of its log.
        words: of the command; `capsnet` stands for this checkout's.
        seconds: its limit. A part that was stopped there is begun again by the next call, and runs go on.
        tiny: more words for a rehearsal.
    """

    name: str
    words: tuple[str, ...]
    seconds: int
    tiny: tuple[str, ...] = ()


def parts(out: Path, device: str) -> list[Part]:
    """All parts, the most useful first."""
    bench, studies = out / "bench.json", out / "studies"
    benches = ("step", "routing", "inference", "convolution", "growth", "image-size", "routings", "startup")
    trial = ("--change", "limit=64", "test_limit=20", "validation=0", "batch_size=64")
    run = ("capsnet", "train", "sabour2017-mnist", "--device", device, "--epochs")

    def study(name: str, budget: str, seeds: int, seconds: int) -> Part:
        folder = f"{studies / name}-{budget}"
        words = ("capsnet", "reproduce", name, "--budget", budget, "--seeds", str(seeds), "--small", "--out", folder)
        # runs in stages have the epochs of their stages
        length = () if name in ("capsnet-keras-table", "capsnet-project-table") else ("steps=2",)
        return Part(f"{name}-{budget}", words, seconds, trial + length)

    return [
        Part("kernels", ("python", "-m", "pytest", "-q", "-x", "tests/kernels"), 240, ("-k", "refus")),
        *(
            Part(
                f"bench-{name}",
                ("capsnet", "bench", name, "--device", device, "--out", str(bench)),
                180,
                ("--quick", "--rounds", "1"),
            )
            for name in benches
        ),
        *(
            Part(
                f"profile-{size}",
                ("python", "benchmarks/profile_step.py", device, str(size), str(out / f"profile-{size}.json")),
                90,
            )
            for size in (128, 1024)
        ),
        Part(
            "epochs", (*run, "3", "--out", str(out / "runs" / "epochs")), 120, ("--limit", "64", "--test-limit", "20")
        ),
        Part("resume", ("capsnet", "train", "--resume", str(out / "runs" / "epochs"), "--epochs", "4"), 60),
        study("speedrun-mnist", "full", 5, 300),
        study("routings-mnist", "full", 5, 1200),
        study("paper-or-code", "full", 3, 1200),
        study("routing-iterations", "full", 3, 1200),
        study("capsnet-keras-table", "full", 3, 600),
        study("capsnet-project-table", "full", 1, 600),
        study("sabour2017-affnist", "full", 3, 1200),
        study("sabour2017-svhn", "full", 1, 600),
        study("sabour2017-table1", "full", 3, 1800),
    ]


def run(out: Path, device: str, seconds: float, rehearse: bool) -> int:
    """Run what is not done, until the time is up.

    Args:
        out: results, logs, state; `wheels/` and `data/` in it are used where they are.
        device: `cuda`, or `cpu` in a rehearsal.
        seconds: of this call.
        rehearse: tiny limits.

    Returns:
        Number of parts that failed in this call.
    """
    out.mkdir(parents=True, exist_ok=True)
    state_file, end, failed = out / "parts.json", time.monotonic() + seconds, 0
    state = json.loads(state_file.read_text()) if state_file.exists() else {}
    for part in parts(out, device):
        left = end - time.monotonic()
        if state.get(part.name, {}).get("state") == "done":
            continue
        if left < 10:
            print(f"{part.name}: no time left; the same call goes on here")
            break
        _clear(part, out)
        words = [*part.words, *(part.tiny if rehearse else ())]
        words = [sys.executable, *(["-m", "capsnet"] if words[0] == "capsnet" else []), *words[1:]]
        started = time.monotonic()
        status = _call(words, out, part.name, min(left, part.seconds))
        took = round(time.monotonic() - started, 1)
        failed += status == "failed"
        state[part.name] = {"state": status, "seconds": took + state.get(part.name, {}).get("seconds", 0)}
        state_file.write_text(json.dumps(state, indent=2) + "\n")
        print(f"{part.name}: {status} after {took} s", flush=True)
    _cut_weights(out)
    return failed


def _clear(part: Part, out: Path) -> None:
    """Remove what a stopped part cannot go on from."""
    if part.name == "epochs":
        shutil.rmtree(out / "runs" / "epochs", ignore_errors=True)


def _call(words: list[str], out: Path, name: str, seconds: float) -> str:
    """Run a command with its output in a log; SIGTERM at its limit, so that runs save their state."""
    paths = [str(ROOT / "src"), *map(str, (out / "wheels").glob("*.whl"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    if (out / "data").is_dir():
        environment["CAPSNET_DATA_DIR"] = str((out / "data").resolve())
    with (out / f"{name}.log").open("a") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT, env=environment)
        try:
            return "done" if process.wait(seconds) == 0 else "failed"
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            return "stopped"


def _cut_weights(out: Path) -> None:
    for file in out.rglob("weights.safetensors"):
        content = file.read_bytes()
        if len(content) > PIECE:
            for number, start in enumerate(range(0, len(content), PIECE)):
                file.with_name(f"{file.name}.{number}").write_bytes(content[start : start + PIECE])


def pack(out: Path) -> None:
    """Fetch what a machine without a network lacks: pure Python wheels, and the four files of MNIST."""
    (out / "wheels").mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(out / "wheels"), *WHEELS]
    subprocess.run(words, check=True)
    source = Path(os.environ["CAPSNET_DATA_DIR"]) / "mnist"
    (out / "data" / "mnist").mkdir(parents=True, exist_ok=True)
    for name in MNIST:
        shutil.copy(source / f"{name}.gz", out / "data" / "mnist")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "run"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=3600.0, help="limit of this call (default: an hour)")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with tiny limits")
    words = parser.parse_args()
    if words.what == "pack":
        pack(words.out)
    else:
        sys.exit(min(run(words.out, "cpu" if words.rehearse else "cuda", words.seconds, words.rehearse), 1))


if __name__ == "__main__":
    main()
