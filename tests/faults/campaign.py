"""Kill commands again and again, call each again until it is done, and compare its folder with an undisturbed one.

`make faults` kills 500 times, `python -m tests.faults.campaign --kills 20 --quick` a few times. A campaign that was
stopped goes on where it was: trials are numbered, and each follows from its number and the seed.
"""

import argparse
import json
import math
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.commands import COMMANDS, Command, Torchrun, import_modules, make_sources
from tests.faults.commits import add_commit
from tests.faults.processes import Instant
from tests.faults.snapshots import left_over, snapshot

_MOST_KILLS = 3
_MOST_TRIES = 4


@dataclass
class Tally:
    """What became of a command's trials.

    Args:
        kills: processes killed, by the kind of instant.
        trials: folders in which the command was killed at least once and then ended.
        lost: what was lost, or differs from an undisturbed run, one line each.
        left_over: trials after which a file or folder of a killed process was still there.
        done: numbers of trials that were made.
    """

    kills: Counter[str] = field(default_factory=Counter)
    trials: int = 0
    lost: list[str] = field(default_factory=list)
    left_over: int = 0
    done: int = 0

    def record(self) -> dict[str, object]:
        """For the JSON file."""
        kills = {"kills": dict(self.kills), "kills_in_all": self.kills.total()}
        return {**kills, "trials": self.trials, "lost": self.lost, "left_over": self.left_over, "done": self.done}


@dataclass(frozen=True)
class Undisturbed:
    """How a command ends that is not killed."""

    held: dict[str, str]
    seconds: float
    operations: int
    largest: int


def measure(command: Command, folder: Path, sources: Path) -> Undisturbed:
    """Run a command to its end."""
    command.prepare(folder, sources)
    before = snapshot(folder)
    ended = command.run(folder, sources)
    if ended.status != 0:
        raise RuntimeError(f"{command.name} fails without being killed: {ended.output[-2000:]}")
    held = snapshot(folder)
    written = [path.stat().st_size for name in held.keys() - before.keys() if (path := folder / name)]
    return Undisturbed(held, ended.seconds, ended.operations, max(written, default=1))


def choose(command: Command, undisturbed: Undisturbed, draw: random.Random) -> Instant:
    """An instant at which to kill."""
    kinds: Sequence[str] = ["time"] if isinstance(command, Torchrun) else ["operation", "operation", "byte", "time"]
    kind = draw.choice(kinds)
    if kind == "operation":
        return Instant("operation", draw.randint(1, undisturbed.operations))
    if kind == "byte":
        # as many among small sizes as among large ones
        return Instant("byte", int(math.exp(draw.uniform(0, math.log(undisturbed.largest)))))
    return Instant("time", draw.uniform(0.02, undisturbed.seconds))


def try_once(command: Command, undisturbed: Undisturbed, folder: Path, sources: Path, seed: str) -> Tally:
    """Kill a command up to three times, call it again until it is done, and compare."""
    draw, tally, calls = random.Random(seed), Tally(done=1), []
    command.prepare(folder, sources)
    for _ in range(draw.randint(1, _MOST_KILLS)):
        instant = choose(command, undisturbed, draw)
        calls.append(f"{instant.kind} {instant.at:g}")
        ended = command.run(folder, sources, instant)
        if not ended.killed:
            if ended.status != 0 and not _is_there(ended.output):
                tally.lost.append(f"{seed}: status {ended.status} after {calls}: {_last_line(ended.output)}")
            break
        tally.kills[instant.kind] += 1
    if not tally.kills:
        return tally
    tally.trials = 1
    ended = command.run(folder, sources)
    if ended.status != 0 and not _is_there(ended.output):
        tally.lost.append(f"{seed}: status {ended.status} at the last call after {calls}: {_last_line(ended.output)}")
        return tally
    held = snapshot(folder)
    if held != undisturbed.held:
        expected = undisturbed.held
        names = sorted(name for name in held.keys() | expected.keys() if held.get(name) != expected.get(name))
        tally.lost.append(f"{seed}: differs after {calls}: {', '.join(names)[:300]}")
    tally.left_over = int(bool(left_over(folder)))
    return tally


def _is_there(output: str) -> bool:
    """Whether a command refused because its output exists, which was whole before it was killed."""
    return "exists; " in _last_line(output)


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["nothing was printed"])[-1][:300]


def run_campaign(
    kills: int,
    folder: Path,
    chosen: Sequence[Command],
    *,
    seed: int,
    seconds: float,
    tallies: dict[str, Tally],
    save: Callable[[], None],
) -> None:
    """Kill until `kills` processes were killed or the time is up; `tallies` are filled, and saved after each trial."""
    start = time.monotonic()
    sources = folder / "sources"
    sources.mkdir()
    import_modules(folder / "modules")
    make_sources(sources, run=any(command.starts_from for command in chosen))
    total = sum(command.share for command in chosen)
    undisturbed: dict[str, Undisturbed] = {}
    # in rounds: where time ends a campaign, every command has had its share
    behind = list(chosen)
    while behind and time.monotonic() - start < seconds:
        # the one that is furthest behind its share
        command = min(behind, key=lambda command: tallies[command.name].kills.total() / command.share)
        tally = tallies[command.name]
        if tally.kills.total() >= max(1, round(kills * command.share / total)):
            behind.remove(command)
            continue
        if command.name not in undisturbed:
            undisturbed[command.name] = measure(command, folder / f"undisturbed {command.name}", sources)
        place = folder / f"trial {command.name}"
        result = try_once(command, undisturbed[command.name], place, sources, f"{seed} {command.name} {tally.done}")
        shutil.rmtree(place)
        tally.kills += result.kills
        tally.trials, tally.done = tally.trials + result.trials, tally.done + 1
        tally.lost += result.lost
        tally.left_over += result.left_over
        save()


def main() -> int:
    """The campaign as a command; exit status 1 where anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=int(os.environ.get("CAPSNET_KILLS", "500")))
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after this time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="leave the slow commands out")
    parser.add_argument("--only", nargs="+", choices=[command.name for command in COMMANDS], help="these commands")
    parser.add_argument("--out", type=Path, help="JSON file; one that is there is added to")
    options = parser.parse_args()
    names = options.only or [command.name for command in COMMANDS if not (options.quick and command.slow)]
    tallies = {command.name: Tally() for command in COMMANDS}
    commits: dict[str, int] = {}
    if options.out is not None and options.out.exists():
        earlier = json.loads(options.out.read_text())
        commits = earlier["commits"]
        for name, record in earlier["commands"].items():
            kept = {key: record[key] for key in ("trials", "lost", "left_over", "done")}
            tallies[name] = Tally(kills=Counter(record["kills"]), **kept)

    def save() -> None:
        record = describe(tallies, options.seed, commits)
        if options.out is not None:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps(record, indent=1) + "\n")

    with tempfile.TemporaryDirectory(prefix="capsnet-faults-") as name:
        run_campaign(
            options.kills,
            Path(name),
            [command for command in COMMANDS if command.name in names],
            seed=options.seed,
            seconds=options.seconds,
            tallies=tallies,
            save=save,
        )
    save()
    print(json.dumps(describe(tallies, options.seed, commits), indent=1))
    return int(any(tally.lost for tally in tallies.values()))


def describe(tallies: dict[str, Tally], seed: int, commits: Mapping[str, int]) -> dict[str, object]:
    """What the JSON file holds.

    Args:
        tallies: of all commands, earlier calls included.
        seed: of the campaign.
        commits: kills of earlier calls by the version of the code.
    """
    from capsnet.training.device import find_commit, find_processor

    kills = sum(tally.kills.total() for tally in tallies.values())

    return {
        "command": "make faults",
        "seed": seed,
        "machine": f"{find_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "commits": add_commit(commits, find_commit(), kills),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "kills": kills,
        "lost": sum(len(tally.lost) for tally in tallies.values()),
        "commands": {name: tally.record() for name, tally in tallies.items() if tally.done},
    }


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
