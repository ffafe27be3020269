"""Commands that are killed, each small enough to end in seconds."""

import contextlib
import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tests.c_compiler import copy_libraries
from tests.faults.processes import Ended, Instant, run_killed

TRAIN = "--model capsnet-tiny --limit 54 --test-limit 20 --epochs 2 --batch-size 16 --validation 0.1 --device cpu "
TRAIN += "--precision fp32 --seed 3"
PHOTOS = "--data {sources}/photos --image-size 20"


@dataclass(frozen=True)
class Command:
    """A command in a folder of its own.

    Args:
        name: of it.
        words: after `capsnet`, for the folder in which it is called and that of the sources: when the command was
            killed, a person calls it again, or `capsnet train --resume`.
        starts_from: what must be in its folder: `run` for a finished run.
        share: of all kills.
        slow: left out of the short pass.
    """

    name: str
    words: Callable[[Path, Path], Sequence[str]]
    starts_from: str | None = None
    share: int = 1
    slow: bool = False

    def prepare(self, folder: Path, sources: Path) -> None:
        """Make the folder."""
        folder.mkdir()
        if self.starts_from is not None:
            shutil.copytree(sources / self.starts_from, folder / self.starts_from)

    def run(self, folder: Path, sources: Path, instant: Instant | None = None) -> Ended:
        """Call it once; it is killed at an instant."""
        words = list(self.words(folder, sources))
        return run_killed(lambda: _main(words), folder, instant)


def _main(words: list[str]) -> int:
    from capsnet.cli import main

    if words[0] == "reproduce":
        from tests.studies.conftest import make_study

        from capsnet.studies import STUDIES

        STUDIES.add("two-rows", make_study())
    return main(words)


class Torchrun(Command):
    """Two processes that train together; one of them, or both, are killed."""

    def run(self, folder: Path, sources: Path, instant: Instant | None = None) -> Ended:
        """Call torchrun; at the instant, a process of its group is killed: the first one, the second, or torchrun."""
        several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "capsnet"]
        command = [sys.executable, *several, *self.words(folder, sources)]
        environment = {**os.environ, "CAPSNET_CACHE_DIR": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        copy_libraries(folder / "cache")
        start = time.monotonic()
        with (folder.parent / f"{folder.name}.log").open("w+") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            killed: int | None = None
            members: list[int] = []
            if instant is not None:
                members, killed = _kill_one(process, instant.at)
            ended = process.wait(1800)
            _wait_for(members)
            log.seek(0)
            text = log.read()
        return Ended(-9 if killed is not None and ended != 0 else ended, text, time.monotonic() - start)


def _kill_one(process: "subprocess.Popen[bytes]", seconds: float) -> tuple[list[int], int | None]:
    """Kill -9 torchrun or one of its processes: which one follows from the instant.

    Returns:
        The processes that were there, and the one that was killed; None: all had ended, or this one just had.
    """
    try:
        process.wait(seconds)
        return [], None
    except subprocess.TimeoutExpired:
        members = [process.pid, *_children(process.pid)]
        chosen = members[int(seconds * 1000) % len(members)]
        try:
            os.kill(chosen, 9)
        except ProcessLookupError:
            return members, None
        return members, chosen


def _children(parent: int) -> list[int]:
    path = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def _wait_for(members: Sequence[int]) -> None:
    """Wait until processes have ended: each notices by itself that the others are gone.

    Those of torchrun are in sessions of their own, and go on for some seconds when it is killed.
    """
    for _ in range(600):
        running = [member for member in members if _is_running(member)]
        if not running:
            return
        time.sleep(0.1)
    raise TimeoutError(f"processes {running} did not end in 60 s after another was killed")


def _is_running(process: int) -> bool:
    try:
        # the state follows the name, which may hold any characters; Z: ended, and not yet waited for
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _train(first: Sequence[str]) -> Callable[[Path, Path], Sequence[str]]:
    def words(folder: Path, sources: Path) -> Sequence[str]:
        if (folder / "run" / "config.json").exists():
            return ["train", "--resume", "run"]
        return [word.format(sources=sources) for word in first]

    return words


def _sweep(folder: Path, sources: Path) -> Sequence[str]:
    options = TRAIN.replace("--seed 3", "").split()
    return ["sweep", "quickstart", "--grid", "lr=1e-3,3e-3", "--seeds", "1", "--out", "sweep", *options]


def _export(source: str, form: str, name: str) -> Callable[[Path, Path], Sequence[str]]:
    return lambda folder, sources: ["export", source, name, "--format", form]


def _report(folder: Path, sources: Path) -> Sequence[str]:
    return ["report", "run", *(["--overwrite"] if (folder / "run" / "report.html").exists() else [])]


COMMANDS = (
    Command("train", _train(["train", *TRAIN.split(), "--out", "run"]), share=5),
    Command("train on photos", _train(["train", *PHOTOS.split(), *TRAIN.split(), "--out", "run"]), share=3),
    Command("reproduce", lambda folder, sources: ["reproduce", "two-rows", "--out", "study", "--seeds", "1"], share=3),
    Command("sweep", _sweep, share=3),
    Command("data", lambda folder, sources: ["data", f"{sources}/photos", "--image-size", "24", "--json"], share=2),
    Command("report", _report, "run", share=1, slow=True),
    Command("export to ONNX", _export("run", "onnx", "onnx"), "run", slow=True),
    Command("export to PyTorch", _export("run", "torch", "run.pt2"), "run", slow=True),
    Command("export to Keras", _export("efficient-capsnet-mnist", "keras", "digits.h5")),
    Torchrun("train in two processes", _train(["train", *TRAIN.split(), "--out", "run"]), slow=True),
)


def make_sources(folder: Path, *, run: bool) -> None:
    """Photos, and where it is needed a finished run."""
    random = np.random.default_rng(0)
    for label, name in enumerate(("grass", "rose", "sky")):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(0, 120, size=(20, 24, 3))
            pixels[..., label] += 130
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / name / f"{number}.png")
    if not run:
        return
    done = run_killed(lambda: _main(["train", *TRAIN.split(), "--out", "run"]), folder)
    if done.status != 0:
        raise RuntimeError(f"the run that reports are made of was not trained: {done.output}")
    shutil.rmtree(folder / "cache", ignore_errors=True)


def import_modules(folder: Path) -> None:
    """Import here what the commands import, so that no forked process has to; nothing is computed, no thread starts."""

    def call() -> int:
        before = set(sys.modules)
        _main(["train", *TRAIN.split(), "--out", "run"])
        (folder / "modules").write_text("\n".join(sys.modules.keys() - before))
        return 0

    folder.mkdir()
    importlib.import_module("capsnet.cli.train")
    if run_killed(call, folder).status != 0:
        raise RuntimeError("the modules of a command could not be listed")
    names = sorted((folder / "modules").read_text().split())
    for name in ("capsnet.cli.data", "capsnet.cli.report", "capsnet.cli.sweep", "tests.studies.conftest", *names):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
