"""Sections of a report: an analysis with its result, figure and limitations; misclassified files; missing analyses."""

from collections.abc import Mapping, Sequence
from html import escape

from capsnet.analysis import ANALYSES, Record
from capsnet.figures.elements import grid, pairs, section
from capsnet.runs.folder import FileResult

_MAX_FILES = 50


def analysis_section(record: Record, picture: str) -> str:
    """The section of one analysis.

    Args:
        record: its results.
        picture: its figure as HTML.
    """
    analysis = ANALYSES.get(record["analysis"])
    source = (
        f"{record['n']:,} images of the {record['split']} split of {record['data']}, seed {record['seed']}; "
        f"analysis/{record['analysis']}.json"
    )
    if record["quick"]:
        source += (
            f". A small sample keeps the report fast; capsnet analyse RUN --only {record['analysis']} uses more images"
        )
    content = (
        f"<p>{escape(analysis.say(record['results']))}</p>\n{picture}\n"
        f'<p class="caution"><strong>Limitations.</strong> {escape(analysis.caution)}</p>\n'
        f'<p class="source">{escape(source)}.</p>'
    )
    return section(analysis.title, content)


def mistakes_section(mistakes: Sequence[FileResult], class_names: Sequence[str]) -> str:
    """The misclassified files, most confident first.

    Args:
        mistakes: of the test split; no section if empty.
        class_names: of the model.
    """
    if not mistakes:
        return ""
    most_confident = sorted(mistakes, key=lambda row: -row["lengths"][row["prediction"]])
    rows = []
    for row in most_confident[:_MAX_FILES]:
        lengths = [f"{row['lengths'][row[key]]:.2f}" for key in ("prediction", "label")]
        rows.append([row["file"], class_names[row["label"]], class_names[row["prediction"]], *lengths])
    table = grid(("file", "true class", "predicted", "length, predicted class", "length, true class"), rows)
    more = len(mistakes) - len(rows)
    rest = f"<p>{more:,} more files are not shown; capsnet evaluate RUN --csv FILE lists all.</p>" if more else ""
    return section("Misclassified files", table + rest)


def left_out_section(left_out: Mapping[str, str]) -> str:
    """Which analyses are missing, and why."""
    rows = {ANALYSES.get(name).title: reason for name, reason in left_out.items()}
    return section("Analyses left out", pairs(rows))
