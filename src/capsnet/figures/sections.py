"""The sections of a report that analyses fill: the number, the figure, and what one may conclude."""

from collections.abc import Mapping, Sequence
from html import escape

from capsnet.analysis import ANALYSES, Record
from capsnet.figures.elements import grid, pairs, section
from capsnet.runs.folder import FileResult

_MOST_FILES = 50


def analysis_section(record: Record, picture: str) -> str:
    """One analysis.

    Args:
        record: its numbers.
        picture: its figure as HTML.
    """
    analysis = ANALYSES.get(record["analysis"])
    source = (
        f"{record['n']:,} images of the {record['split']} split of {record['data']}, seed {record['seed']}; "
        f"analysis/{record['analysis']}.json"
    )
    if record["quick"]:
        source += (
            f". Few images, so that the report is quick: capsnet analyse RUN --only {record['analysis']} uses more"
        )
    content = (
        f"<p>{escape(analysis.say(record['results']))}</p>\n{picture}\n"
        f'<p class="caution"><strong>Limitations.</strong> {escape(analysis.caution)}</p>\n'
        f'<p class="source">{escape(source)}.</p>'
    )
    return section(analysis.title, content)


def mistakes_section(mistakes: Sequence[FileResult], class_names: Sequence[str]) -> str:
    """The files that were classified incorrectly, those that the network was surest of first.

    Args:
        mistakes: of the test split; an empty list gives no section.
        class_names: of the model.
    """
    if not mistakes:
        return ""
    surest = sorted(mistakes, key=lambda row: -row["lengths"][row["prediction"]])
    rows = []
    for row in surest[:_MOST_FILES]:
        lengths = [f"{row['lengths'][row[key]]:.3f}" for key in ("prediction", "label")]
        rows.append([row["file"], class_names[row["label"]], class_names[row["prediction"]], *lengths])
    table = grid(("file", "true class", "predicted", "length of the predicted", "length of the true class"), rows)
    more = len(mistakes) - len(rows)
    rest = f"<p>And {more:,} more: capsnet evaluate RUN --csv FILE lists all files.</p>" if more else ""
    return section("Files classified incorrectly", table + rest)


def left_out_section(left_out: Mapping[str, str]) -> str:
    """Which analyses are missing, and why."""
    rows = {ANALYSES.get(name).title: reason for name, reason in left_out.items()}
    return section("Not analysed", pairs(rows))
