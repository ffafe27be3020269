"""The sections of a report that analyses fill: the number, the figure, and what one may conclude."""

from collections.abc import Mapping
from html import escape

from capsnet.analysis import ANALYSES, Record


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
