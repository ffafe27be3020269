r"""Formulas as MathML, made while the site is built: a reader's browser needs no script and no network.

`$a$` in a line, `$$a$$` on lines of its own. A formula that cannot be converted stops the build.
"""

import html
import re
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor

DISPLAY = r"\$\$(?P<display>[^$]+)\$\$"
# not a dollar of prose or of a shell variable: no space inside it, and neither word nor digit behind it
INLINE = r"(?<![\\$\w])\$(?![\s$]|[A-Z_]{3,})(?P<inline>[^$`]*[^$`\s\\])\$(?![\w$])"
# characters of a formula in a line that a phone shows without scrolling
_SHORT = 30
# known to LaTeX, not to the converter
_SPELLED = {
    r"\Big(": r"\left(",
    r"\Big)": r"\right)",
    r"\big(": "(",
    r"\big)": ")",
    r"\odot": "⊙",
}


def to_mathml(formula: str, *, display: bool = False) -> str:
    """A formula as a `<math>` element; a long one in a line has the class `long`, for phones.

    Raises:
        ValueError: it holds something that would be shown as it is written, a command with its backslash.
    """
    text = " ".join(formula.split())
    for written, meant in _SPELLED.items():
        text = text.replace(written, meant)
    try:
        made = convert(text, display="block" if display else "inline")
    except Exception as fault:
        raise ValueError(f"formula ${formula}$ cannot be converted ({type(fault).__name__}: {fault})") from fault
    if "\\" in made:
        raise ValueError(f"formula ${formula}$ has a command that the converter does not know: {made}")
    if not display and len(html.unescape(re.sub("<[^>]*>", "", made))) > _SHORT:
        made = made.replace("<math ", '<math class="long" ', 1)
    return str(made)


class _Formula(InlineProcessor):
    """Puts finished MathML aside, so that no other pattern reads it."""

    def __init__(self, pattern: str, md: Markdown, *, display: bool) -> None:
        super().__init__(pattern, md)
        self.compiled_re = re.compile(pattern, re.DOTALL)
        self.display = display

    def handleMatch(self, match: re.Match[str], data: str) -> tuple[Element | str, int, int]:
        made = to_mathml(match[1], display=self.display)
        return self.md.htmlStash.store(made), match.start(0), match.end(0)


class MathExtension(Extension):
    """Python-Markdown extension: formulas between dollars."""

    def extendMarkdown(self, md: Markdown) -> None:
        # after code (190), before backslash escapes (180)
        md.inlinePatterns.register(_Formula(DISPLAY, md, display=True), "math-display", 186)
        md.inlinePatterns.register(_Formula(INLINE, md, display=False), "math-inline", 185)
