"""A study's table as Markdown: `table.md`."""

from collections.abc import Callable, Mapping, Sequence

from capsnet.studies.comparisons import ComparisonEntry
from capsnet.studies.statistics import SIGNIFICANT, UNEQUAL, format_p, mean_and_std
from capsnet.studies.table import RowEntry, Table

Column = tuple[str, Callable[[RowEntry], str]]


def to_markdown(table: Table) -> str:
    """The text of `table.md`: the rows, the comparisons, and how to read them."""
    columns = _columns(table)
    labels = {row["name"]: row["label"] for row in table["rows"]}
    compared = [comparison_cells(entry, labels) for entry in table["comparisons"]]
    changed = ", ".join(f"{name} = {value}" for name, value in table["changes"].items())
    schedule = table["schedule"]
    parts = [
        f"# {table['title']}",
        f"{schedule[:1].upper()}{schedule[1:]}." + (f" Changed for this table: {changed}." if changed else ""),
        table_lines([head for head, _ in columns], [[cell(row) for _, cell in columns] for row in table["rows"]]),
        _reading(table),
    ]
    parts += [words for words in (_milestones(table), _clean(table), _pairs(table), _together(table)) if words]
    if "stand_in" in table:
        parts.insert(1, f"{table['stand_in']}.")
    if compared:
        heads = ["compared", "difference of mean errors", "p", "conclusion"]
        parts.append(table_lines(heads, compared))
        parts.append(_testing(table))
    parts.append(
        f"{_source(table)}. Machine: {'; '.join(table['machines']) or 'none yet'}. "
        f"Commit {', '.join(table['commits']) or 'none yet'}; {'; '.join(table['versions']) or 'no runs yet'}. "
        f"Training took {table['seconds'] / 60:.1f} minutes in all.\n\n    {table['command']}"
    )
    return "\n\n".join(parts) + "\n"


def _source(table: Table) -> str:
    source, without = table["source"], "no paper: "
    if source.startswith(without):
        return f"No source reports numbers for these rows: {source.removeprefix(without)}"
    has_numbers = any(row["paper"] for row in table["rows"])
    return f"Source of the {'reported numbers' if has_numbers else 'experiment'}: {source}"


def table_lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows))


def _columns(table: Table) -> list[Column]:
    """Column headings, each with a function that formats a row's cell; some studies have extra columns."""
    rows, word = table["rows"], "exact pairs" if any("digit_mean" in row for row in table["rows"]) else "test error"
    columns: list[Column] = [
        ("row", lambda row: row["label"]),
        *([(f"{_reported_head(rows)}, {word}", _reported)] if any(row["paper"] for row in rows) else []),
        (
            f"ours{'' if word == 'test error' else ', exact pairs'}, {mean_words(table)}",
            lambda row: format_errors(row["errors"]) or "no run finished",
        ),
        ("seeds", format_seeds),
        ("95 % interval", lambda row: format_interval(row["interval"])),
    ]
    if word == "exact pairs":
        columns.append(("ours, single digits", lambda row: format_errors(row.get("digit_errors", []))))
    if any("clean_mean" in row for row in rows):
        columns.append(("clean error, held out", lambda row: format_errors(row.get("clean_errors", []))))
    if table["validated"]:
        columns.append(("last step", lambda row: format_errors(row.get("last_errors", []))))
    columns.append(("parameters", format_parameters))
    columns.append(("training", format_seconds))
    return columns


def mean_words(table: Table) -> str:
    """The heading of a column of means, with the single values of two seeds or the standard deviation of more."""
    most = max((row["n"] for row in table["rows"]), default=0)
    return "one seed" if most == 1 else "mean (seeds)" if most == 2 else "mean ± std"


def _reported_head(rows: Sequence[RowEntry]) -> str:
    """The heading of the source's numbers, with its epochs if the runs have fewer."""
    after = max((row.get("reported_after", 0) for row in rows), default=0)
    return f"reported after {after} epochs" if after else "reported"


def _reported(row: RowEntry) -> str:
    paper = row["paper"]
    return "" if paper is None else _percent(paper["error"], paper["std"], digits=3)


def format_errors(errors: Sequence[float]) -> str:
    """Mean error with its standard deviation, or with the single errors if there are two."""
    if not errors:
        return ""
    # rounded as in table.json
    mean, std = mean_and_std([round(error, 6) for error in errors])
    if len(errors) == 2:
        return f"{mean:.2f} % ({', '.join(f'{error:.2f}' for error in errors)})"
    return _percent(mean, std)


def format_seeds(row: RowEntry) -> str:
    """Number of finished runs of a row, and of the planned ones if some are missing."""
    if row["n"] and "networks" in row:
        return "one test"
    return f"{row['n']} of {row['planned']}" if row.get("planned", row["n"]) > row["n"] else str(row["n"])


def format_seconds(row: RowEntry) -> str:
    """Mean training time of a row's runs, or the range if the longest took over 1.5 times as long as the shortest."""
    seconds = row.get("run_seconds", [])
    if seconds and max(seconds) > 1.5 * min(seconds):
        return f"{min(seconds):,.0f} to {max(seconds):,.0f} s"
    return "" if row["seconds"] is None else f"{row['seconds']:,.0f} s"


def format_parameters(row: RowEntry) -> str:
    """Number of parameters, and how many of them belong to the network and to the decoder."""
    total, decoder = row["parameters"], row.get("decoder_parameters", 0)
    if total is None:
        return ""
    return f"{total:,} ({total - decoder:,} and a decoder of {decoder:,})" if decoder else f"{total:,}"


def format_interval(interval: Sequence[float] | None) -> str:
    """An interval of errors in percent."""
    return "" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f} %"


def _percent(mean: float, std: float | None, digits: int = 2) -> str:
    return f"{mean:.2f} %" if std is None else f"{mean:.2f} ± {std:.{digits}f} %"


def comparison_cells(entry: ComparisonEntry, labels: Mapping[str, str]) -> list[str]:
    """The cells of a comparison: the rows, their difference, p and the conclusion."""
    pair = f"{labels[entry['row']]} against {labels[entry['other']]}"
    # z: no negative zero
    difference = f"{entry['difference']:+z.2f} points"
    if entry["p"] is None:
        return [pair, difference, "", "cannot be tested"]
    verdict = "no significant difference"
    if entry["differs"]:
        verdict = "lower error" if entry["difference"] < 0 else "higher error"
    return [pair, difference, format_p(entry["p"]), verdict]


def _reading(table: Table) -> str:
    chosen = "weights best on validation images, beside that of the last step" if table["validated"] else "last step"
    staged = any("milestones" in row for row in table["rows"])
    once = "" if staged else "; the test split was evaluated once, at the end of each run, and chose no weights"
    seeds = max(len(row["errors"]) for row in table["rows"])
    spread = "Std is the standard deviation over seeds (n - 1). " if seeds > 2 else ""
    shared = ", which all seeds share" if seeds > 1 else ""
    time = "Training is the training time of a run, excluding evaluation."
    if seeds > 1:
        time = (
            "Training is the mean training time of a run, excluding evaluation, or the range if runs of a row differ "
            "by more than a half."
        )
    return (
        f"Test error of the {chosen}{once}. {spread}Intervals are 95 % Wilson intervals of the "
        f"{'mean ' if seeds > 1 else ''}error over the images of the test split{shared}; they do not include variation "
        f"between seeds. {time}"
    )


def _milestones(table: Table) -> str:
    """Accuracies during training, ours and the source's, one line for each row and split."""
    rows = [row for row in table["rows"] if "milestones" in row]
    if not rows:
        return ""
    epochs = [str(one["epochs"]) for one in rows[0]["milestones"]]
    lines = []
    for row in rows:
        for split in ("train", "test"):
            ours = [f"{one[split]:.2f}" for one in row["milestones"]]
            theirs = [one["source_train" if split == "train" else "source_test"] for one in row["milestones"]]
            word = "training" if split == "train" else "test"
            lines.append([f"{row['label']}, {word}, source", *("" if x is None else f"{x:.2f}" for x in theirs)])
            lines.append([f"{row['label']}, {word}, ours", *ours])
    return table_lines(["accuracy in % after epochs", *epochs], lines) + (
        "\n\nTraining accuracy is the mean over the batches of that epoch, while the weights change. The "
        "test split was evaluated after each of these epochs, as in the source, and chose nothing: the schedule is "
        "fixed."
    )


def untested(rows: Sequence[RowEntry]) -> str:
    """Why differences between rows are not tested."""
    seeds = [set(row["seeds"]) for row in rows if row["seeds"]]
    if all(len(part) < 2 for part in seeds):
        return "With one seed for each row, differences between rows cannot be told from differences between seeds."
    if len(set.intersection(*seeds)) < 2:
        return "The rows share fewer than two seeds, so differences between them cannot be tested."
    return "Every seed gives the same differences between the rows, so there is no variance for a test."


def _testing(table: Table) -> str:
    count = len(table["comparisons"])
    correction = f"p is corrected for the {count} comparisons by Holm's method; a" if count > 1 else "A"
    return testing_words(table["comparisons"], correction, table["rows"])


def testing_words(comparisons: Sequence[ComparisonEntry], correction: str, rows: Sequence[RowEntry]) -> str:
    """How the comparisons were tested, or why they were not; `correction` begins the sentence on significance."""
    tested = [entry for entry in comparisons if entry["least"] is not None]
    if not tested:
        return untested(rows)
    least = sorted(entry["least"] or 0.0 for entry in tested)
    if tested[0]["pooled"]:
        method = "Tested by a two-way analysis of variance with seeds as blocks and the residual variance of all rows"
        if max(len(entry["seeds"]) for entry in tested) < 3 and sum(bool(row["seeds"]) for row in rows) > 2:
            method += ", although two seeds cannot show whether it is the same in all of them"
        smallest = (
            f"Every difference of at least {least[-1]:.2f} points would be significant; a smaller difference may exist."
        )
    else:
        method = (
            f"The differences of some pairs vary more than those of others (Bartlett's test, p < {UNEQUAL:g}), so each "
            "pair is tested alone, by a paired t test"
        )
        smallest = (
            f"Every difference of at least {least[0]:.2f} to {least[-1]:.2f} points, depending on the pair, would be "
            "significant; a smaller one may be, too."
        )
    if any({*row["seeds"]} != {*rows[0]["seeds"]} for row in rows if row["seeds"]):
        method += ". A difference is over the seeds that both rows have"
    return f"{method}. {correction} difference is significant if p < {SIGNIFICANT:g}. {smallest}"


def _clean(table: Table) -> str:
    """Whether the rows reached the same clean accuracy, as they should."""
    rows = [row for row in table["rows"] if "stop_at" in row]
    if not rows:
        return ""
    level, count = rows[0]["stop_at"], rows[0]["held_out"]
    text = (
        f"Training ended after the first epoch with an accuracy of at least {100 * level:.4g} % on {count:,} held-out "
        "training images, shifted like the others: the clean accuracy, which the table gives as an error. Since it "
        "decided when training ends, it is slightly optimistic, for all rows alike."
    )
    short = [
        f"{row['n'] - row['reached']} of {row['n']} runs of {row['label']}" for row in rows if row["reached"] < row["n"]
    ]
    if short:
        text += f" {' and '.join(short)} did not reach this level, so the rows are not compared at the same accuracy."
    return text


def _pairs(table: Table) -> str:
    if not any("digit_mean" in row for row in table["rows"]):
        return ""
    return (
        "A pair is correct if both digits are classified correctly, which is the error that the paper reports; the "
        "column of single digits counts each of the two digits."
    )


def _together(table: Table) -> str:
    rows = [row for row in table["rows"] if "networks" in row and row["n"]]
    if not rows:
        return ""
    return (
        f"{rows[0]['label']}: capsule lengths are summed over the networks of the other row (the tested weights of "
        "each run), and the class with the largest sum is predicted. It is one test: its interval covers test images "
        "only."
    )
