"""Several concurrent runs, each in its own process: one on each GPU, or each on its share of the cores."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from capsnet.runs.folder import Run
from capsnet.studies.study import Task
from capsnet.training.stop import StopRequest, stop_on_signal

RETRIES = 3
"""Number of times that a run is resumed after its process was killed, before it counts as failed."""
_POLL_SECONDS = 0.1


def run_pool(tasks: Sequence[Task], total: int, jobs: int, logs: Path, lock: int) -> list[str]:
    """Run tasks, at most `jobs` at a time; a run whose process is killed is resumed, `RETRIES` times at most.

    Args:
        tasks: the runs, in order.
        total: number of runs of the whole study, for the messages.
        jobs: number of concurrent processes.
        logs: folder for the output of each run.
        lock: file descriptor of the study's lock, which the processes keep open.

    Returns:
        A message for each run that failed, with the path of its log.

    Raises:
        KeyboardInterrupt: the user stopped it; all processes have saved their state and ended.
    """
    logs.mkdir(parents=True, exist_ok=True)
    waiting, slots = list(tasks), devices(jobs)
    running: dict[int, tuple[Task, subprocess.Popen[bytes]]] = {}
    failures: list[str] = []
    deaths: Counter[str] = Counter()

    def done() -> int:
        return total - len(waiting) - len(running)

    with stop_on_signal() as stop:
        while waiting or running:
            if stop.requested:
                _stop([process for _, process in running.values()])
                raise KeyboardInterrupt("stopped; repeat the same command to resume")
            for slot, environment in enumerate(slots):
                if slot not in running and waiting:
                    task = waiting.pop(0)
                    running[slot] = (task, _start(task, environment, logs, lock))
            for slot, (task, process) in list(running.items()):
                if process.poll() is not None:
                    del running[slot]
                    _close(process)
                    # killed by a signal, for instance when out of memory
                    if process.returncode < 0 and not stop.requested:
                        deaths[task.name] += 1
                        if deaths[task.name] <= RETRIES:
                            report_retry(task, f"its process was killed ({-process.returncode})", deaths[task.name])
                            waiting.insert(0, task)
                            continue
                    if process.returncode != 0 and not stop.requested:
                        times = f" was killed {deaths[task.name]} times" if deaths[task.name] > RETRIES else ""
                        failures.append(f"{task.name}{times}, see {logs / task.name}.log")
                    report(task, f"failed with status {process.returncode}", done(), total)
            _wait(stop)
    return failures


def _wait(stop: StopRequest) -> None:
    if not stop.requested:
        time.sleep(_POLL_SECONDS)


def devices(jobs: int) -> list[dict[str, str]]:
    """Environment variables of each process: its GPU, or its number of threads."""
    if not torch.cuda.is_available():
        return [{"OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // jobs))}] * jobs
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = named.split(",") if named else [str(index) for index in range(torch.cuda.device_count())]
    return [{"CUDA_VISIBLE_DEVICES": names[job % len(names)]} for job in range(jobs)]


def _start(task: Task, environment: dict[str, str], logs: Path, lock: int) -> "subprocess.Popen[bytes]":
    order = {
        "folder": str(task.folder),
        "config": task.config.to_json(),
        "stages": task.stages,
        "command": sys.argv,
    }
    with (logs / f"{task.name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "capsnet.studies.worker"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            # Ctrl-C reaches this process only, which forwards it once
            start_new_session=True,
            pass_fds=(lock,),
        )
    assert process.stdin is not None
    # ignore a worker that died at once: its log has the reason. The pipe stays open; the worker stops when it closes
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
    return process


def _close(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def _stop(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.send_signal(signal.SIGINT)
    for process in processes:
        process.wait()
        _close(process)


def report(task: Task, failure: str, number: int, total: int) -> None:
    """Print the test error of a run, or the failure of an unfinished run."""
    result = Run.open(task.folder).evaluation() if task.finished else None
    words = failure
    if result is not None:
        words = f"test error {result['test']['error_percent']:.2f} %, trained {result['seconds']:.0f} s"
    print(f"[{number}/{total}] {task.name}: {words}", file=sys.stderr, flush=True)


def report_retry(task: Task, reason: str, attempt: int) -> None:
    """Print that a run is resumed after its process was killed."""
    print(f"{task.name}: {reason}; it is resumed ({attempt} of {RETRIES})", file=sys.stderr, flush=True)
