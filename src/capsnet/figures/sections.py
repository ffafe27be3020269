"""The sections of a report that analyses fill: the number, the figure, and what one may conclude."""

from collections.abc import Mapping, Sequence
from html import escape

from capsnet.analysis import ANALYSES, Record
from capsnet.runs.folder import FileResult

_MOST_FILES = 50


def analysis_section(record: Record, picture: str) -> str:
    """One analysis.

    Args:
        record: its numbers.
        picture: its figure as HTML.
    """
    analysis = ANALYSES.get(record["analysis"])
    title, says = escape(analysis.title), escape(analysis.say(record["results"]))
    source = (
        f"{record['n']:,} images of the {record['split']} split of {record['data']}, seed {record['seed']}; "
        f"analysis/{record['analysis']}.json"
    )
    if record["quick"]:
        source += (
            f". Few images, so that the report is quick: capsnet analyse RUN --only {record['analysis']} uses more"
        )
    return (
        f"<section>\n<h2>{title}</h2>\n<p>{says}</p>\n{picture}\n"
        f'<p class="caution"><strong>How far this goes.</strong> {escape(analysis.caution)}</p>\n'
        f'<p class="source">{escape(source)}.</p>\n</section>'
    )


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
        cells = [row["file"], class_names[row["label"]], class_names[row["prediction"]], *lengths]
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = ("file", "true class", "predicted", "length of the predicted", "length of the true class")
    more = len(mistakes) - len(rows)
    rest = f"<p>And {more:,} more: capsnet evaluate RUN --csv FILE lists all files.</p>" if more else ""
    return (
        '<section>\n<h2>Files classified incorrectly</h2>\n<div class="scroll"><table><thead><tr>'
        + "".join(f"<th>{name}</th>" for name in head)
        + "</tr></thead><tbody>"
        + "".join(rows)
        + f"</tbody></table></div>{rest}\n</section>"
    )


def left_out_section(left_out: Mapping[str, str]) -> str:
    """Which analyses are missing, and why."""
    if not left_out:
        return ""
    rows = "".join(
        f"<tr><th>{escape(ANALYSES.get(name).title)}</th><td>{escape(reason)}</td></tr>"
        for name, reason in left_out.items()
    )
    return (
        '<section>\n<h2>Not analysed</h2>\n<div class="scroll"><table class="pairs">'
        + rows
        + "</table></div>\n</section>"
    )
