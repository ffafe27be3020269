"""The table of docs/sequences.md, from docs/sequences.json, which benchmarks/sequences.py writes."""

import json
from pathlib import Path
from statistics import mean

MARKS = "<!-- sequences: made by docs/fill.py -->", "<!-- end of sequences -->"
MEASURED = Path(__file__).with_name("sequences.json")
TASKS = {
    "digits": "spoken digits, official test",
    "new-speaker": "spoken digits, new speaker",
    "vowels": "Japanese vowels",
}


def table() -> str:
    """Accuracy and time of each model on each task, and in how many runs either has more correct answers."""
    measured = json.loads(MEASURED.read_text())
    tasks = measured["tasks"]
    epochs = {task: tasks[task]["epochs"] for task in TASKS}
    runs = {task: len(next(iter(tasks[task]["models"].values()))["runs"]) for task in TASKS}
    intro = (
        f"Batches of {measured['settings']['batch']}, Adam, one-cycle learning rate. Spoken digits: {epochs['digits']} "
        f"epochs, mean ± standard deviation over {runs['digits']} seeds. New speaker: over {runs['new-speaker']} "
        "speakers, each left out of the training data once, one seed. "
        f"Vowels: {epochs['vowels']} epochs, {runs['vowels']} seeds. Training is processor time of one core that other "
        f"programs used too; torch {measured['machine']['torch']}:"
    )
    lines = ["| task | model | parameters | accuracy | errors | training |", "|---|---|--:|--:|--:|--:|"]
    for task, words in TASKS.items():
        lines += [_row(words, name, row) for name, row in tasks[task]["models"].items()]
    notes = [_note(words, tasks[task]["models"]) for task, words in TASKS.items()]
    return "\n".join([intro, "", *lines, "", *notes])


def _row(words: str, name: str, row: dict) -> str:
    accuracy, deviation = (100 * row["accuracy"][key] for key in ("mean", "std"))
    errors = mean(run["of"] - run["correct"] for run in row["runs"])
    sequences = mean(run["of"] for run in row["runs"])
    return (
        f"| {words} | `{name}` | {row['parameters']:,} | {accuracy:.1f}\u00a0±\u00a0{deviation:.1f}\u00a0% "
        f"| {errors:.1f}\u00a0of\u00a0{sequences:,.0f} | {row['processor_seconds']:.0f} s |"
    )


def _note(words: str, models: dict) -> str:
    (first, ours), (second, theirs) = models.items()
    others = {run["split"]: run["correct"] for run in theirs["runs"]}
    pairs = [(run["correct"], others[run["split"]]) for run in ours["runs"]]
    ahead, behind = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    equal = len(pairs) - ahead - behind
    return (
        f"- {words[0].upper()}{words[1:]}: `{first}` has more correct answers in {ahead} of {len(pairs)} runs, "
        f"`{second}` in {behind}{f'; equal in {equal}' if equal else ''}."
    )
