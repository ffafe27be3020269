"""The tables of docs/reliability.md, from the records in docs/reliability/: `make faults`, `make fuzz` and `make soak`.

`python docs/reliability.py [FILE...]` runs the tests of faults that are no campaign, and counts them.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
RECORDS = Path(__file__).parent / "reliability"
PAGE = Path(__file__).with_suffix(".md")
# the fault, its result, and the tests that cause it
FAULTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "SIGTERM or SIGHUP from a batch system",
        "saved, and ended within 5 s of processor time; the resumed run equals an undisturbed one",
        (
            "tests/faults/test_signals.py::test_notice_of_a_batch_system_saves_in_seconds_and_goes_on_exactly",
            "tests/training/test_loop.py::test_end_of_the_terminal_saves_as_ctrl_c_does",
        ),
    ),
    (
        "Ctrl-C while a command starts",
        "it ends without a traceback",
        ("tests/faults/test_signals.py::test_interrupt_while_a_command_starts_ends_it_quietly",),
    ),
    (
        "one of several processes dies",
        "all end, the lost one is named, and the run goes on from its checkpoint",
        (
            "tests/training/test_distributed.py::test_all_processes_end_and_the_run_can_go_on_when_one_dies",
            "tests/training/test_distributed.py::test_run_goes_on_by_itself_when_torchrun_restarts_its_processes",
        ),
    ),
    (
        "the disk is full",
        "one line; the last checkpoint stays whole, and the run goes on when there is space",
        (
            "tests/faults/test_disk.py::test_run_on_a_full_disk_goes_on_when_there_is_space",
            "tests/faults/test_disk.py::test_too_small_a_disk_is_refused_before_training",
            "tests/runs/test_files.py::test_full_disk_leaves_the_old_file",
        ),
    ),
    (
        "the disk is read-only",
        "one line; nothing is changed",
        ("tests/faults/test_disk.py::test_read_only_disk_is_refused_in_one_line_and_left_as_it_is",),
    ),
    (
        "metrics.csv is cut off, at every byte",
        "the resumed run writes the same file as an undisturbed one",
        ("tests/faults/test_disk.py::test_metrics_cut_off_at_any_byte_go_on_whole",),
    ),
    (
        "two processes on one folder",
        "the second is refused, and the first is named",
        (
            "tests/runs/test_folder.py::test_lock_goes_with_the_process_that_held_it",
            "tests/runs/test_folder.py::test_runs_that_start_together_get_folders_of_their_own",
            "tests/studies/test_runner.py::test_second_command_in_the_same_folder_is_refused",
        ),
    ),
    (
        "the clock is set back",
        "the same weights; an image replaced by one of the same size and time is read anew",
        (
            "tests/faults/test_machine.py::test_clock_set_back_changes_no_weight",
            "tests/faults/test_machine.py::test_image_of_an_earlier_time_and_the_same_size_is_read_anew",
        ),
    ),
    (
        "memory does not suffice",
        "one line that names the batch size that fits, within the limits of a container or batch job too",
        (
            "tests/training/test_memory.py::test_batch_that_does_not_fit_is_refused",
            "tests/training/test_memory_limits.py",
            "tests/faults/test_machine.py::test_memory_that_ends_in_a_step_is_said_with_the_batch_that_takes_half",
        ),
    ),
    (
        "a download is slow, stalls, is cut off or wrong",
        "the next server is tried; a wrong file is never used",
        ("tests/faults/test_downloads.py", "tests/data/test_download.py"),
    ),
    (
        "data files are truncated, damaged or exchanged",
        "one line that names the file and what is wrong",
        (
            "tests/data/test_idx.py",
            "tests/data/test_matlab.py",
            "tests/data/test_smallnorb.py",
            "tests/data/test_cifar10.py",
            "tests/data/test_affnist.py",
            "tests/faults/test_readers.py::test_damaged_file_is_read_or_refused",
        ),
    ),
    (
        "files of older versions",
        "they open as they were",
        (
            "tests/runs/test_config.py::test_configuration_of_a_run_before_there_were_optimisers_is_read",
            "tests/runs/test_config.py::test_older_names_in_a_file_are_read_without_a_warning",
            "tests/runs/test_weights.py::test_weights_of_the_first_version_are_read",
        ),
    ),
    (
        "a pickle, or another file that would run code, in place of each kind of file",
        "refused; nothing in it is looked up or run",
        ("tests/faults/test_readers.py::test_no_reader_runs_a_pickle",),
    ),
    (
        "requests to the page from other sites, machines and paths, and malformed ones",
        "refused",
        ("tests/demo/test_page.py",),
    ),
)


def run_tests(files: Sequence[str]) -> None:
    """Run the tests of all faults, or those in these files, and write down which passed."""
    names = sorted({name for _, _, tests in FAULTS for name in tests if not files or name.partition("::")[0] in files})
    path = RECORDS / "tests.json"
    kept = [case for case in _read("tests")["cases"] if case["test"].partition("::")[0] not in files] if files else []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-m", "not real_data", *names]
        subprocess.run(command, cwd=ROOT, check=False)
        cases = [_read_case(case) for case in ElementTree.parse(report).iter("testcase")]
    kept += [{"test": name, "outcome": outcome} for name, outcome in cases]
    path.write_text(json.dumps({"cases": sorted(kept, key=lambda case: str(case["test"]))}, indent=1) + "\n")


def _read_case(case: ElementTree.Element) -> tuple[str, str]:
    file = case.attrib["classname"].replace(".", "/") + ".py"
    outcome = "failed" if case.find("failure") is not None or case.find("error") is not None else "passed"
    return f"{file}::{case.attrib['name']}", "skipped" if case.find("skipped") is not None else outcome


def fill(text: str) -> str:
    """The page with its tables."""
    from results import put

    tables = {"kills": kills, "faults": faults, "fuzz": fuzzing, "soak": soaking}
    for name, table in tables.items():
        marks = f"<!-- {name}: made by docs/fill.py from docs/reliability -->", f"<!-- end of {name} -->"
        text = put(text, marks, table())
    return text


def _read(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((RECORDS / f"{name}.json").read_text())
    return record


def _measured(record: dict[str, Any]) -> str:
    """Where and when, and which version of the code: of a campaign that went on with several, each with its share."""
    versions: dict[str, int] = record.get("commits", {})
    shares = ", ".join(f"{name} ({count:,})" for name, count in versions.items())
    commit = f"commits {shares}" if len(versions) > 1 else f"commit {''.join(versions) or record['commit']}"
    return f"{record['machine']}, {record['date']}, {commit}"


def kills() -> str:
    """Processes killed, by command."""
    record = _read("kills")
    lines = [
        "| command | kills: (a) file operation, (b) byte, (c) time | ended and compared | lost |",
        "|---|---|---|---|",
    ]
    for name, tally in record["commands"].items():
        counts = ", ".join(str(tally["kills"].get(kind, 0)) for kind in ("operation", "byte", "time"))
        lost = f"{len(tally['lost'])}" if tally["lost"] else "nothing"
        lines.append(f"| {name} | {tally['kills_in_all']}: {counts} | {tally['trials']} | {lost} |")
    total = f"{record['kills']} kills in all, {record['lost'] or 'nothing'} lost. {_measured(record)}."
    return "\n".join([*lines, "", total])


def faults() -> str:
    """Faults that are tests, with how many cases ran."""
    cases = _read("tests")["cases"]
    lines = ["| fault | result | cases passed | repeat it |", "|---|---|---|---|"]
    for fault, outcome, tests in FAULTS:
        own = [case for case in cases if any(case["test"].startswith(name) for name in tests)]
        passed = sum(case["outcome"] == "passed" for case in own)
        ran = sum(case["outcome"] != "skipped" for case in own)
        files = " ".join(dict.fromkeys(name.partition("::")[0] for name in tests))
        lines.append(f"| {fault} | {outcome} | {passed} of {ran} | `pytest {files}` |")
    return "\n".join(lines)


def fuzzing() -> str:
    """Files tried, by reader."""
    record = _read("fuzz")
    lines = [
        "| reader | files | read | refused | faults | memory rose by | slowest file |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, tally in record["readers"].items():
        if tally["cases"]:
            lines.append(
                f"| {name} | {tally['cases']:,} | {tally['read']:,} | {tally['refused']:,} | "
                f"{_faults(tally)} | {tally['megabytes']} of {tally['limit_megabytes']} MB | "
                f"{tally['slowest']:.2f} s |"
            )
    engines = sorted({tally["engine"] for tally in record["readers"].values() if tally["cases"]})
    total = f"{record['cases']:,} files in all, by {' and '.join(engines)}. {_measured(record)}."
    others = {name: t["cases"] - t["read"] - t["refused"] for name, t in record["readers"].items() if t["cases"]}
    met = ", ".join(f"{count:,} of {name}" for name, count in others.items() if count)
    if met:
        total += f" Files that met a fault before it was fixed are neither read nor refused: {met}."
    return "\n".join([*lines, "", total])


def _faults(tally: dict[str, Any]) -> str:
    """Faults that are left, and those that were mended since they were found."""
    mended = len(tally.get("mended", ()))
    left = str(len(tally["faults"]) or "none")
    return f"{left}; {mended} found and fixed" if mended else left


def soaking() -> str:
    """Memory over time."""
    record = _read("soak")
    lines = [
        "| work | time | memory: second quarter, last quarter, highest | slope | lost | commit |",
        "|---|---|---|---|---|---|",
    ]
    parts = [(name, part) for name, calls in record.items() for part in calls]
    for name, part in parts:
        work = {
            "train": f"training, {part.get('steps', 0):,} steps; saved {part.get('saved_in_seconds')} s after SIGTERM",
            "predict": f"{part.get('predictions', 0):,} predictions",
            "page": f"{part.get('requests', 0):,} requests to the page by {part.get('clients')} clients",
        }[name]
        memory = ", ".join(f"{part[key]:.0f} MB" for key in ("second_quarter_mb", "last_quarter_mb", "highest_mb"))
        lost = part.get("lost") or "nothing"
        lines.append(
            f"| {work} | {part['seconds'] / 60:.0f} min | {memory} | {part['slope_mb_per_hour']:.0f} MB/h | {lost} "
            f"| {part['commit']} |"
        )
    return "\n".join([*lines, "", *dict.fromkeys(f"{part['machine']}, {part['date']}." for _, part in parts)])


if __name__ == "__main__":
    run_tests(sys.argv[1:])
