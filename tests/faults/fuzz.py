"""Fuzz every reader of a user's file: `make fuzz`, or `python -m tests.faults.fuzz --cases 1000000`.

Cases are divided among the readers; each has a process of its own, with a limit on the time of a case. With atheris
(libFuzzer for Python, if it is installed) new cases follow the coverage of capsnet's code; else they are random changes
of valid files. A campaign that was stopped goes on where it was.
"""

import argparse
import contextlib
import io
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.faults.commits import add_commit

# of processor time, as the machine may be busy; of any time, for a reader that waits
_CASE_SECONDS, _MOST_SECONDS = 20, 600
_LONGEST = 1 << 16
_SAVE_CASES = 2000
_WORDS = (b"[" * 100, b"9" * 400, b"1e999", b"NaN", b"-1", b"\xff\xfe", b"\0" * 9)


class HangError(Exception):
    """A case took longer than `_CASE_SECONDS` or `_MOST_SECONDS`."""


class Fuzzer:
    """Calls one reader with many files, and counts.

    Args:
        name: of the reader.
        out: JSON file of its record.
        cases: to make, those of an earlier call included.
        seconds: to stop after.
        folder: that files are written to; after a case without an end, its file is there.
    """

    def __init__(self, name: str, out: Path, cases: int, seconds: float, folder: Path) -> None:
        from tests.faults.readers import READERS

        from capsnet.errors import UserError

        self.reader = next(reader for reader in READERS if reader.name == name)
        self.samples = list(self.reader.samples())
        self.refusal, self.out, self.cases = UserError, out, cases
        self.deadline = time.monotonic() + seconds
        self.record: dict[str, Any] = {
            "cases": 0,
            "read": 0,
            "refused": 0,
            "slowest": 0.0,
            "megabytes": 0,
            "faults": {},
        }
        if out.exists():
            self.record = json.loads(out.read_text())
        self.folder = folder
        signal.signal(signal.SIGPROF, self._hang)
        signal.signal(signal.SIGALRM, self._hang)
        for sample in self.samples:
            self.reader.call(sample, self.folder)
        self._retry()
        self.before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def _hang(self, number: int, frame: object) -> None:
        raise HangError

    def _retry(self) -> None:
        """Try again what failed in an earlier call: a fault that is mended stays in the record as such."""
        for words, case in list(self.record["faults"].items()):
            file = self.out.with_name(case or ".")
            if file.is_file() and self._is_well(file.read_bytes()):
                del self.record["faults"][words]
                place = words.partition(": ")[0]
                self.record["mended"] = sorted({*self.record.get("mended", ()), place})

    def _is_well(self, data: bytes) -> bool:
        try:
            self.reader.call(data, self.folder)
        except self.refusal as fault:
            return "\n" not in str(fault)
        except Exception:
            return False
        return True

    @property
    def done(self) -> bool:
        """Whether all cases were made, or the time is up."""
        return self.record["cases"] >= self.cases or time.monotonic() > self.deadline

    def try_case(self, data: bytes) -> None:
        """Read a file; whatever happens but a refusal in one line is written down."""
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, _CASE_SECONDS)
        signal.alarm(_MOST_SECONDS)
        try:
            self.reader.call(data, self.folder)
            self.record["read"] += 1
        except self.refusal as fault:
            self.record["refused"] += 1
            if "\n" in str(fault):
                last = traceback.extract_tb(fault.__traceback__)[-1]
                self._note(f"more than a line from {Path(last.filename).name}:{last.lineno}", data)
        except BaseException as fault:
            last = traceback.extract_tb(fault.__traceback__)[-1]
            self._note(f"{type(fault).__name__} in {Path(last.filename).name}:{last.lineno}", data)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
        self.record["cases"] += 1
        self.record["slowest"] = max(self.record["slowest"], round(time.process_time() - start, 2))
        if self.record["cases"] % _SAVE_CASES == 0:
            self.save()

    def _note(self, words: str, data: bytes) -> None:
        faults = self.record["faults"]
        if words not in faults and len(faults) < 50:
            case = self.out.with_name(f"{self.out.stem}-{len(faults)}.bin")
            case.write_bytes(data)
            faults[words] = case.name

    def save(self) -> None:
        """Write the record."""
        risen = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.before) // 1024
        self.record["megabytes"] = max(self.record["megabytes"], risen)
        self.record["limit_megabytes"] = self.reader.most
        if risen > self.reader.most:
            self.record["faults"][f"memory rose by more than {self.reader.most} MB"] = ""
        beside = self.out.with_suffix(".part")
        beside.write_text(json.dumps(self.record, indent=1))
        beside.replace(self.out)

    def run_random(self) -> None:
        """Change valid files at random."""
        draw = random.Random(f"{self.reader.name} {self.record['cases']}")
        self.record.setdefault("engine", "random changes")
        while not self.done:
            self.try_case(change(draw.choice(self.samples), draw))
        self.save()

    def run_atheris(self) -> None:
        """Let libFuzzer choose; it ends this process."""
        import atheris

        self.record["engine"] = "atheris"
        corpus = self.folder / "corpus"
        corpus.mkdir()
        for number, sample in enumerate(self.samples):
            (corpus / str(number)).write_bytes(sample)

        def call(data: bytes) -> None:
            if self.done:
                self.save()
                os._exit(0)
            self.try_case(data)

        seed = 1 + self.record["cases"]
        words = [f"-max_len={_LONGEST}", "-rss_limit_mb=4096", "-print_final_stats=0", "-verbosity=0", f"-seed={seed}"]
        draw = random.Random(seed)

        def mutate(data: bytes, most: int, number: int) -> bytes:
            # libFuzzer's own changes, and those of valid files, which get past magic numbers
            return change(draw.choice(self.samples), draw)[:most] if draw.random() < 0.5 else atheris.Mutate(data, most)

        atheris.Setup([sys.argv[0], *words, str(corpus)], call, custom_mutator=mutate)
        atheris.Fuzz()


def change(data: bytes, draw: random.Random) -> bytes:
    """A file with one to five changes: bits, numbers at the edges of their range, parts cut out, doubled or swapped."""
    content = bytearray(data)
    for _ in range(draw.randint(1, 5)):
        kind, start = draw.randrange(6), draw.randrange(len(content) + 1)
        length = min(draw.choice((1, 2, 4, 8, 64, 1000)), len(content) - start)
        if kind == 0 and content:
            content[start - 1] ^= 1 << draw.randrange(8)
        elif kind == 1:
            number = draw.choice((0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000))
            content[start : start + 4] = number.to_bytes(4, draw.choice(("little", "big")))
        elif kind == 2:
            del content[start : start + length]
        elif kind == 3:
            content[start:start] = content[start : start + length] * draw.choice((1, 2, 50))
        elif kind == 4:
            del content[start:]
        else:
            content[start:start] = draw.choice(
                (b"[" * 100, b"9" * 400, b"1e999", b"NaN", b"-1", b"\xff\xfe", b"\0" * 9)
            )
    return bytes(content[:_LONGEST])


def import_readers() -> bool:
    """Import what is fuzzed, once for all processes; returns whether atheris follows its coverage."""
    if find_spec("atheris") is None:
        import tests.faults.readers

        return False
    import atheris

    # the readers themselves; what trains and draws is not fuzzed
    rooms = ["capsnet.data", "capsnet.runs", "capsnet.interop", "capsnet.demo"]
    with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=rooms):
        import tests.faults.readers  # noqa: F401
    return True


def fuzz(name: str, out: Path, cases: int, seconds: float, guided: bool) -> tuple[str, str]:
    """Fuzz one reader in a forked process; returns how it ended, where that was not well, and the file it read then."""
    # on a file system in memory where there is one
    memory = Path("/dev/shm")
    # not TemporaryDirectory, which the forked process would remove when it exits by itself
    folder = Path(tempfile.mkdtemp(prefix="capsnet-fuzz-", dir=memory if memory.is_dir() else None))
    try:
        ending = _fuzz_in(folder, name, out, cases, seconds, guided)
        files = [path for path in folder.iterdir() if path.is_file()] if ending else []
        if not files:
            return ending, ""
        case = out.with_name(f"{out.stem}-last.bin")
        shutil.copyfile(files[0], case)
        return ending, case.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fuzz_in(folder: Path, name: str, out: Path, cases: int, seconds: float, guided: bool) -> str:
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        warnings.simplefilter("ignore")
        with out.with_suffix(".log").open("w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        fuzzer = Fuzzer(name, out, cases, seconds, folder)
        if guided:
            fuzzer.run_atheris()
        else:
            fuzzer.run_random()
        os._exit(0)
    deadline = time.monotonic() + seconds + 120
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return f"ended with status {os.waitstatus_to_exitcode(status)}" if status else ""
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "was stopped after its time"


def main() -> int:
    """Fuzz all readers; exit status 1 where one did anything but read or refuse."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=int(os.environ.get("CAPSNET_CASES", "1000000")))
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after this time")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; a folder of this name goes beside it")
    options = parser.parse_args()
    guided = import_readers()
    from tests.faults.readers import READERS

    earlier = json.loads(options.out.read_text()) if options.out.exists() else {"readers": {}, "commits": {}}
    start, records = time.monotonic(), dict(earlier["readers"])
    parts = options.out.with_suffix("")
    parts.mkdir(parents=True, exist_ok=True)
    for number, reader in enumerate(READERS):
        # each gets its share of the time that is left
        seconds = (options.seconds - (time.monotonic() - start)) / (len(READERS) - number)
        part = parts / f"{''.join(c if c.isalnum() else '-' for c in reader.name)}.json"
        if reader.name in records:
            # the folder is not kept in the repository, the record is
            part.write_text(json.dumps(records[reader.name]))
        ending, case = fuzz(reader.name, part, -(-options.cases // len(READERS)), seconds, guided)
        record = json.loads(part.read_text()) if part.exists() else {"cases": 0, "faults": {}}
        if ending:
            record["faults"][f"the process {ending}, see {part.with_suffix('.log').name}"] = case
        records[reader.name] = record
        print(f"{reader.name}: {record['cases']:,} cases, {len(record['faults'])} faults", flush=True)
        options.out.write_text(json.dumps(describe(records, earlier["commits"]), indent=1) + "\n")
    return int(any(record["faults"] for record in records.values()))


def describe(records: dict[str, Any], commits: dict[str, int]) -> dict[str, object]:
    """What the JSON file holds; `commits` are cases of earlier calls by the version of the code."""
    from capsnet.training.device import find_commit, find_processor

    cases = sum(record["cases"] for record in records.values())

    return {
        "command": "make fuzz",
        "machine": f"{find_processor()}, {os.cpu_count()} cores",
        "commits": add_commit(commits, find_commit(), cases),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cases": cases,
        "faults": sum(len(record["faults"]) for record in records.values()),
        "readers": records,
    }


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
