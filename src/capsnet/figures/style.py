"""The style of all figures: sizes, colours, fonts, and PNG export.

Colours: Okabe, Ito, "Color Universal Design", 2008, distinct for colour-blind readers too. A figure is at most about
8 inches wide with text of 8 points and more, so that it is readable at 800 pixels.
"""

import functools
import io
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ft2font import FT2Font
from PIL import Image

P = ParamSpec("P")
R = TypeVar("R")

BLUE, ORANGE, GREEN, SKY = "#0072B2", "#D55E00", "#009E73", "#56B4E9"
INK, GREY, PALE, PAPER = "#222222", "#6B6B6B", "#D9D9D9", "#FFFFFF"
DPI = 160
MARGIN = 0.3
MAX_BYTES = 400_000

# for scripts missing from DejaVu Sans, on Linux, macOS and Windows
SCRIPT_FONTS = (
    *(f"Noto Sans CJK {region}" for region in ("SC", "JP", "KR", "TC", "HK")),
    *("Noto Sans SC", "Noto Sans JP", "Noto Sans KR", "Source Han Sans SC", "Source Han Sans CN"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "IPAGothic", "NanumGothic"),
    *("PingFang SC", "Hiragino Sans GB", "Hiragino Sans", "Heiti TC", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Microsoft YaHei", "SimHei", "Yu Gothic", "MS Gothic", "Malgun Gothic", "Nirmala UI", "Leelawadee UI"),
    *(f"Noto Sans {script}" for script in ("Arabic", "Hebrew", "Devanagari", "Bengali", "Tamil", "Thai", "Ethiopic")),
    *("Noto Sans Symbols2", "Segoe UI Symbol", "Unifont"),
)

STYLE: dict[str, object] = {
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "figure.facecolor": PAPER,
    "grid.color": "#E8E8E8",
    "grid.linewidth": 0.8,
    "lines.solid_capstyle": "round",
    "savefig.bbox": None,
    "savefig.facecolor": "auto",
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8.5,
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run `draw` in this style; the caller's matplotlib settings neither matter nor change."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)  # type: ignore[arg-type] # all keys are valid rcParams
            matplotlib.rcParams["font.family"] = list(installed_fonts())
            return draw(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float, title: str, subtitle: str) -> Figure:
    """An empty figure with a title and a wrapped subtitle.

    Args:
        width: in inches.
        height: of the area below the subtitle, in inches.
        title: wrapped if longer than a line.
        subtitle: one or two sentences.
    """
    heads = textwrap.wrap(title, int((width - 2 * MARGIN) * 9.6)) or [""]
    lines = textwrap.wrap(subtitle, int((width - 2 * MARGIN) * 14.8))
    head = 0.23 * (len(heads) - 1)
    total = height + 0.56 + head + 0.175 * len(lines)
    # whole pixels: no seams between images
    figure = Figure(figsize=(round(width * DPI) / DPI, round(total * DPI) / DPI), dpi=DPI)
    figure.text(MARGIN / width, 1 - 0.22 / total, "\n".join(heads), size=12.5, weight="bold", va="top")
    figure.text(
        MARGIN / width, 1 - (0.49 + head) / total, "\n".join(lines), size=9, color=GREY, va="top", linespacing=1.35
    )
    return figure


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a position in inches from the lower left corner, rounded to whole pixels."""
    total_width, total_height = figure.get_size_inches()
    left, bottom, width, height = (round(value * DPI) / DPI for value in (left, bottom, width, height))
    return figure.add_axes((left / total_width, bottom / total_height, width / total_width, height / total_height))


def bare(axes: Axes) -> None:
    """Remove ticks and frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


@functools.cache
def installed_fonts() -> dict[str, str]:
    """The figures' font and the installed fonts for other scripts: names and files."""
    files = {font.name: font.fname for font in fontManager.ttflist if font.name in SCRIPT_FONTS}
    default = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    return {"DejaVu Sans": default, **{name: files[name] for name in SCRIPT_FONTS if name in files}}


@functools.cache
def _open_font(file: str) -> FT2Font:
    return FT2Font(file)


def can_draw(text: str) -> bool:
    """Whether some installed font has each character of a text."""
    fonts = [_open_font(file) for file in installed_fonts().values()]
    return all(char.isprintable() and any(font.get_char_index(ord(char)) for font in fonts) for char in text)


@functools.cache
def _warn_without_font(char: str) -> None:
    """Warn once that no installed font has a character, and which font to install."""
    name = f"U+{ord(char):04X}"
    print(
        f"capsnet: figures cannot draw {name} ({unicodedata.name(char, 'no name')}): no installed font has it, a "
        "number is drawn instead; install a font for its script, for Chinese, Japanese and Korean Noto Sans CJK (on "
        "Debian and Ubuntu: apt install fonts-noto-cjk), and remove matplotlib's font cache",
        file=sys.stderr,
    )


def plain(text: str, longest: int = 60) -> str:
    """Make external text drawable, and cut it to `longest` characters.

    White space becomes a space. A character that no installed font has becomes `U+` and its code point, with one
    warning.
    """
    parts = []
    for char in text:
        if char.isspace() or can_draw(char):
            parts.append(" " if char.isspace() else char)
        else:
            if char.isprintable():
                _warn_without_font(char)
            parts.append(f"U+{ord(char):04X}")
    known = "".join(parts)
    return known if len(known) <= longest else known[: longest - 1] + "…"


def class_label(names: Sequence[str], label: int, longest: int = 60) -> str:
    """A class name as `plain` gives it, or `class` and its index if no installed font can draw it."""
    name = names[label]
    if all(char.isspace() or not char.isprintable() or can_draw(char) for char in name):
        return plain(name, longest)
    plain(name)
    return f"class {label}"


def labels(names: Sequence[str], longest: int) -> list[str]:
    """Names as `class_label` gives them, prefixed with their index if cutting made two equal."""
    short = [class_label(names, number, longest) for number in range(len(names))]
    if len(set(short)) == len(short):
        return short
    return [plain(f"{number} {name}", longest) for number, name in enumerate(names)]


@styled
def to_png(figure: Figure) -> bytes:
    """A figure as PNG of at most about 400 kB, reduced to 256 colours if necessary."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    picture = Image.fromarray(pixels[..., :3])
    data = _compress(picture)
    if len(data) > MAX_BYTES:
        data = _compress(picture.quantize(256, dither=Image.Dither.NONE))
    return data


def _compress(picture: Image.Image) -> bytes:
    target = io.BytesIO()
    picture.save(target, format="PNG", optimize=True, dpi=(DPI, DPI))
    return target.getvalue()
