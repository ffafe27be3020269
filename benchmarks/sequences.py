"""Classify sequences of different lengths: SequenceCapsNet beside a convolutional network of equal size.

    python benchmarks/sequences.py choose           # learning rates, tried on held-out training sequences
    python benchmarks/sequences.py train            # each task, model and seed; goes on where it was stopped
    python benchmarks/sequences.py write            # docs/sequences.json and its picture

Three tasks: spoken digits with the official test recordings; spoken digits of a speaker whom the training data lack;
and who speaks Japanese vowels. Both models get the same sequences in the same order, the same number of epochs and the
same optimizer. Each is tested once, after its last step. In the first and the third task test sequences choose nothing.
In the second they took part in the choice of the learning rates, which are those of the first task: the trials learned
from recordings 10 to 49 of every speaker and were compared on recordings 5 to 9, and a new speaker is tested on these.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch

import capsnet
from capsnet.data.free_spoken_digits import indices, load_free_spoken_digits, speakers
from capsnet.data.japanese_vowels import load_japanese_vowels
from capsnet.data.sequences import SequenceData
from capsnet.losses.class_loss import class_loss
from capsnet.models import SequenceModel, create_sequence_model

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs" / "sequences"
BATCH = 32
CAPSNET, CNN = "sequence-capsnet", "sequence-cnn"
# the last convolution of the control is as wide as gives it the parameters of the capsule network
OPTIONS = {
    "digits": {CAPSNET: {}, CNN: {}},
    "vowels": {
        CAPSNET: {"in_channels": 12, "num_classes": 9, "primary_kernel": 3, "primary_stride": 1},
        CNN: {"in_channels": 12, "num_classes": 9, "stem_channels": (64, 64, 63)},
    },
}
EPOCHS = {"digits": 6, "vowels": 40}
LEARNING_RATES = (1e-3, 3e-3, 1e-2)
SEEDS = 5


def train(
    name: str, data: SequenceData, options: dict, seed: int, epochs: int, lr: float
) -> tuple[SequenceModel, float]:
    """Train on all sequences; return the model and the seconds of processor time."""
    torch.manual_seed(seed)
    model = create_sequence_model(name, **options)
    model.class_names, model.preparation = data.class_names, data.preparation
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * -(-len(data) // BATCH))
    generator = torch.Generator().manual_seed(seed)
    start = time.process_time()
    for _ in range(epochs):
        for batch in data.batches(BATCH, generator):
            output = model(batch.sequences, batch.lengths)
            loss = class_loss(model.loss, output, batch.labels).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval(), time.process_time() - start


@torch.no_grad()
def count_correct(model: SequenceModel, data: SequenceData) -> int:
    """The number of sequences that are classified correctly."""
    return sum(
        int((model(batch.sequences, batch.lengths).lengths.argmax(dim=1) == batch.labels).sum())
        for batch in data.batches(100)
    )


def held_out(task: str) -> tuple[SequenceData, SequenceData]:
    """The training sequences in two parts: most of them, and those on which learning rates are compared."""
    if task == "vowels":
        data, _ = load_japanese_vowels()
        held = torch.arange(len(data)) % 5 == 0
    else:
        data, _ = load_free_spoken_digits()
        # the official test recordings are 0 to 4 of each digit and speaker; these come next
        held = indices(data) < 10
    return data.pick((~held).nonzero()[:, 0]), data.pick(held.nonzero()[:, 0])


def splits(task: str) -> Iterator[tuple[str, int, SequenceData, SequenceData]]:
    """The name of a split, the seed, training and test sequences."""
    if task == "vowels":
        train_data, test_data = load_japanese_vowels()
    else:
        train_data, test_data = load_free_spoken_digits()
    if task != "new-speaker":
        for seed in range(SEEDS):
            yield f"seed {seed}", seed, train_data, test_data
        return
    # training recordings of the other speakers, and all of the new one that are no official test recordings; the choice
    # of learning rates has seen both
    names = speakers(train_data)
    for speaker in sorted(set(names)):
        new = torch.tensor([name == speaker for name in names])
        yield speaker, 0, train_data.pick((~new).nonzero()[:, 0]), train_data.pick(new.nonzero()[:, 0])


TASKS = {"digits": "digits", "new-speaker": "digits", "vowels": "vowels"}
"""Each task, and the one that has its learning rates and sizes."""


def read(file: Path) -> list[dict]:
    """The lines of a record; none if there is no file yet."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def add(file: Path, row: dict) -> None:
    """Add a line to a record, and print it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as record:
        record.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


def choose(tasks: list[str], models: list[str]) -> None:
    """Compare learning rates on held-out training sequences."""
    file = RUNS / "choices.jsonl"
    done = {(row["task"], row["model"], row["lr"]) for row in read(file)}
    for task in sorted({TASKS[task] for task in tasks}):
        kept, rest = held_out(task)
        for name in models:
            for lr in LEARNING_RATES:
                if (task, name, lr) not in done:
                    model, _ = train(name, kept, OPTIONS[task][name], 100, EPOCHS[task], lr)
                    row = {"task": task, "model": name, "lr": lr, "correct": count_correct(model, rest)}
                    add(file, {**row, "of": len(rest)})


def chosen() -> dict[str, dict[str, float]]:
    """The learning rate of each task and model with the most correct held-out sequences; the lowest of equals."""
    rows = sorted(read(RUNS / "choices.jsonl"), key=lambda row: (row["correct"], -row["lr"]))
    rates: dict[str, dict[str, float]] = {}
    for row in rows:
        rates.setdefault(row["task"], {})[row["model"]] = row["lr"]
    return rates


def run(tasks: list[str], models: list[str]) -> None:
    """Train and test each model on each split."""
    rates = chosen()
    for task in tasks:
        file, family = RUNS / f"{task}.jsonl", TASKS[task]
        done = {(row["split"], row["model"]) for row in read(file)}
        for split, seed, train_data, test_data in splits(task):
            for name in models:
                if (split, name) in done:
                    continue
                model, seconds = train(
                    name, train_data, OPTIONS[family][name], seed, EPOCHS[family], rates[family][name]
                )
                if split == "seed 0":
                    model.save(RUNS / f"{task}-{name}.safetensors")
                row = {"split": split, "model": name, "correct": count_correct(model, test_data), "of": len(test_data)}
                add(file, {**row, "training": len(train_data), "processor_seconds": seconds})


def summarise(rows: list[dict]) -> dict:
    """Mean and standard deviation over splits."""
    accuracies = [row["correct"] / row["of"] for row in rows]
    return {
        "accuracy": {"mean": statistics.mean(accuracies), "std": statistics.stdev(accuracies)},
        "processor_seconds": statistics.mean(row["processor_seconds"] for row in rows),
        "runs": [{key: row[key] for key in ("split", "correct", "of", "training")} for row in rows],
    }


def write() -> None:
    """Write docs/sequences.json, and draw the first recordings of different digits."""
    results: dict = {"tasks": {}}
    for task, family in TASKS.items():
        rows = read(RUNS / f"{task}.jsonl")
        results["tasks"][task] = {
            "epochs": EPOCHS[family],
            "models": {
                name: {
                    "parameters": sum(value.numel() for value in create_sequence_model(name, **options).parameters()),
                    "lr": chosen()[family][name],
                    **summarise([row for row in rows if row["model"] == name]),
                }
                for name, options in OPTIONS[family].items()
            },
        }
    results["choices"] = read(RUNS / "choices.jsonl")
    results["settings"] = {"batch": BATCH, "learning_rates": LEARNING_RATES}
    results["machine"] = {
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "capsnet": capsnet.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }
    (ROOT / "docs" / "sequences.json").write_text(json.dumps(results, indent=1) + "\n")
    draw()


def draw() -> None:
    """Draw docs/pictures/sequences.png with the model of seed 0."""
    from capsnet.figures.sequence import draw_couplings
    from capsnet.figures.style import to_png
    from capsnet.models import load_sequence_model

    _, test_data = load_free_spoken_digits()
    model = load_sequence_model(RUNS / f"digits-{CAPSNET}.safetensors")
    # recording 0 of one speaker, not selected by what the network answers
    rows = [row for row, file in enumerate(test_data.files or ()) if file.endswith("_jackson_0.wav")]
    spectrograms = [test_data.sequences[row, :, : int(test_data.lengths[row])] for row in rows]
    figure = draw_couplings(model, spectrograms, [f"spoken: {int(test_data.labels[row])}" for row in rows])
    (ROOT / "docs" / "pictures" / "sequences.png").write_bytes(to_png(figure))


def main() -> None:
    """Do one of the three steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("choose", "train", "write"))
    parser.add_argument("--tasks", nargs="+", choices=tuple(TASKS), default=list(TASKS))
    parser.add_argument("--models", nargs="+", choices=(CAPSNET, CNN), default=[CAPSNET, CNN])
    options = parser.parse_args()
    # one core: processor time is then the time of training
    torch.set_num_threads(1)
    if options.step == "write":
        write()
    else:
        {"choose": choose, "train": run}[options.step](options.tasks, options.models)


if __name__ == "__main__":
    main()
