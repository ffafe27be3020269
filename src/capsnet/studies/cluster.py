"""Runs of a study on a Ray cluster: Ray places each on a node and retries those whose worker dies.

All nodes need this package and the study's folder, on a file system that they share.
"""

import contextlib
import os
import socket
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TypedDict

import torch

from capsnet.errors import UserError
from capsnet.runs.config import RunConfig
from capsnet.studies.pool import RETRIES, report
from capsnet.studies.run_task import run_task
from capsnet.studies.study import Task
from capsnet.training.stop import stop_on_signal

_POLL_SECONDS = 0.2
_CONNECT_SECONDS = 10
# environment variables that a worker copies from the command
_VARIABLES = ("CAPSNET_", "CUBLAS_", "HF_")


class Order(TypedDict):
    """The description of a run for a worker; relative paths are relative to `directory`."""

    folder: str
    config: str
    stages: tuple[int, ...]
    log: str
    threads: int | None
    directory: str
    command: list[str]
    environment: dict[str, str]


@contextlib.contextmanager
def connect(address: str | None) -> Iterator[ModuleType | None]:
    """Connect to a Ray cluster.

    Args:
        address: `"auto"`: the cluster that is running, if any; an address such as `"10.0.0.1:6379"`; None: no cluster.

    Yields:
        The module `ray`, connected; None: there is no cluster.

    Raises:
        UserError: the extra `ray` is not installed, or no cluster answers at the address.
    """
    if address is None:
        yield None
        return
    try:
        import ray
    except ImportError:
        raise UserError("ray needs an extra: pip install 'capsnet[ray]'") from None
    # a program that uses Ray itself keeps its connection
    if ray.is_initialized():
        yield ray
        return
    _check_reachable(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error", namespace="capsnet")
    except (ConnectionError, ValueError, RuntimeError) as fault:
        # a running cluster that refuses the connection, for instance of another version, is an error
        if address != "auto" or not isinstance(fault, ConnectionError):
            raise UserError(f"no Ray cluster can be used at {address}: {_first_line(fault)}") from None
        reason = _first_line(fault)
        print(f"no Ray cluster is used ({reason}); the runs are processes of this machine", file=sys.stderr, flush=True)
        yield None
        return
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Refuse an address without a listening process, for which Ray would retry for minutes.

    Raises:
        UserError: no connection within some seconds.
    """
    host, sign, port = address.removeprefix("ray://").rpartition(":")
    if not sign or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as fault:
        raise UserError(f"no Ray cluster can be used at {address}: {fault}") from None


def run_on_ray(ray: ModuleType, tasks: Sequence[Task], total: int, jobs: int, logs: Path) -> list[str]:
    """Train runs on a cluster.

    A run uses one GPU if the cluster has any, else its share of a node's cores.

    Args:
        ray: the module, connected.
        tasks: the runs, in order.
        total: number of runs of the whole study, for the messages.
        jobs: concurrent runs on a node without GPUs.
        logs: folder for the output of each run.

    Returns:
        A message for each run that failed, with the path of its log.

    Raises:
        KeyboardInterrupt: stopped by the user; all runs have saved their state.
    """
    logs.mkdir(parents=True, exist_ok=True)
    resources, threads = share_of_node(ray.nodes(), jobs)
    # max_calls: a new process for each run, so that all of its memory is freed
    train = ray.remote(max_retries=RETRIES, max_calls=1, **resources)(train_task)
    failures: list[str] = []
    with stop_on_signal() as stop:
        running = {train.options(name=task.name).remote(_order(task, threads, logs)): task for task in tasks}
        while running:
            if stop.requested:
                _cancel(ray, list(running))
                raise KeyboardInterrupt("stopped; repeat the same command to resume")
            ended, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
            for reference in ended:
                task = running.pop(reference)
                failure = _outcome(ray, reference, task)
                if failure:
                    failures.append(f"{task.name}: {failure}, see {logs / task.name}.log")
                report(task, failure or "finished", total - len(running), total)
    return failures


def share_of_node(nodes: Sequence[dict[str, object]], jobs: int) -> tuple[dict[str, int], int | None]:
    """The resources of a run on a node: Ray's resources, and the number of threads (None: PyTorch's default).

    Args:
        nodes: the result of `ray.nodes()`.
        jobs: concurrent runs on a node without GPUs.

    Raises:
        UserError: no node has a core.
    """
    alive = [node["Resources"] for node in nodes if node.get("Alive")]
    resources = [entry for entry in alive if isinstance(entry, dict)]
    if any(entry.get("GPU", 0) >= 1 for entry in resources):
        return {"num_gpus": 1, "num_cpus": 1}, None
    # a head node may have no resources for tasks
    cores = [int(entry["CPU"]) for entry in resources if entry.get("CPU", 0) >= 1]
    if not cores:
        raise UserError("the Ray cluster has no CPU core and no GPU for a run; add a node: ray start --address ADDRESS")
    share = max(1, min(cores) // jobs)
    return {"num_cpus": share}, share


def train_task(order: Order) -> str | None:
    """Train one run in a worker of the cluster.

    Returns:
        The reason of a failure, or None.
    """
    if not Path(order["directory"]).is_dir():
        return f"{order['directory']} is not on the node {os.uname().nodename}; all nodes must share it"
    with contextlib.ExitStack() as stack, _inside(order), Path(order["log"]).open("a") as log:
        stack.enter_context(contextlib.redirect_stdout(log))
        stack.enter_context(contextlib.redirect_stderr(log))
        try:
            run_task(Path(order["folder"]), RunConfig.from_json(order["config"]), tuple(order["stages"]))
        except UserError as fault:
            print(f"capsnet: {fault}", file=sys.stderr)
            return str(fault)
        except Exception as fault:  # a bug: the command prints its message, the log has the traceback
            traceback.print_exc()
            return f"{type(fault).__name__} ({_first_line(fault)})"
    return None


@contextlib.contextmanager
def _inside(order: Order) -> Iterator[None]:
    """Set directory, environment, arguments and log file as for a run of the command itself."""
    argv, directory, threads = sys.argv, Path.cwd(), torch.get_num_threads()
    os.chdir(order["directory"])
    os.environ.update(order["environment"])
    sys.argv = order["command"]
    if order["threads"] is not None:
        torch.set_num_threads(order["threads"])
    try:
        yield
    finally:
        sys.argv = argv
        os.chdir(directory)
        torch.set_num_threads(threads)


def _order(task: Task, threads: int | None, logs: Path) -> Order:
    return {
        "folder": str(task.folder),
        "config": task.config.to_json(),
        "stages": task.stages,
        "log": str(logs / f"{task.name}.log"),
        "threads": threads,
        "directory": str(Path.cwd()),
        "command": sys.argv,
        "environment": {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)},
    }


def _outcome(ray: ModuleType, reference: object, task: Task) -> str | None:
    """The reason of a run's failure, or None."""
    try:
        failure: str | None = ray.get(reference)
    except ray.exceptions.RayTaskError as fault:
        return _last_line(fault)
    except ray.exceptions.TaskCancelledError:
        return "it was cancelled"
    except ray.exceptions.RayError as fault:
        return f"its worker died {RETRIES + 1} times ({type(fault).__name__})"
    if failure is None and not task.finished:
        return f"its files are not in {task.folder}; all nodes must share this folder"
    return failure


def _cancel(ray: ModuleType, references: Sequence[object]) -> None:
    """Cancel the runs, and wait until each has saved its state."""
    for reference in references:
        ray.cancel(reference)
    ray.wait(list(references), num_returns=len(references))


def _first_line(fault: object) -> str:
    return str(fault).strip().partition("\n")[0] or type(fault).__name__


def _last_line(fault: object) -> str:
    return str(fault).strip().rpartition("\n")[2]
