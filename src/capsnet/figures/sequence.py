"""Spectrograms with the coupling of each window of a recording to the longest class capsules."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.data.spectrogram import HOP
from capsnet.errors import UserError
from capsnet.figures.sequence_data import draw_sequence
from capsnet.figures.style import BLUE, GREY, INK, ORANGE, SKY, axes_at, bare, class_label, new_figure, plain, styled
from capsnet.models import SequenceModel
from capsnet.models.eval_mode import eval_mode
from capsnet.models.sequence import TimeWindows

_MOST, _LEFT, _RIGHT, _GAP, _TALL, _LOW, _BAR = 4, 0.8, 0.25, 0.25, 1.5, 1.1, 0.2
_BARS = 5


@styled
@torch.no_grad()
def draw_couplings(
    model: SequenceModel,
    spectrograms: Sequence[Float[Tensor, "c _"]],
    names: Sequence[str],
    step: float | None = HOP,
    *,
    class_lengths: bool = False,
) -> Figure:
    """Draw spectrograms or series, and below each how far its windows are routed to the two longest capsules.

    Args:
        model: with primary capsules.
        spectrograms: of recordings, or any other sequences; the first four are drawn.
        names: a title for each.
        step: seconds between the steps of a spectrogram; None: the sequences are series, drawn as lines.
        class_lengths: also draw the lengths of the longest class capsules, and draw models without coupling.

    Shapes:
        each spectrogram `c t`.

    Raises:
        UserError: the model has no primary capsules, or its routing returns no coupling.
    """
    spectrograms, windows = list(spectrograms[:_MOST]), model.windows
    with eval_mode(model):
        outputs = [model(bands[None]) for bands in spectrograms]
    couplings = [output.coupling for output in outputs if output.coupling is not None]
    curves: list[Tensor] = []
    if windows is not None and len(couplings) == len(outputs):
        curves = [windows.coupling(coupling)[0] for coupling in couplings]
    elif not class_lengths:
        raise UserError("the model has no coupling of windows of time to its classes")
    noun, unit = ("series", 1.0) if step is None else ("recordings", step)
    columns, classes = len(spectrograms), outputs[0].lengths.shape[1]
    width = (8.0 - _LEFT - _RIGHT - _GAP * (columns - 1)) / columns
    word, first = ("length", "longest") if windows is not None else ("probability", "most probable")
    bars = min(_BARS, classes) * _BAR + 0.3 if class_lengths else 0.0
    curve_room = _LOW + 0.6 if curves else 0.45
    figure = new_figure(
        8.0,
        bars + curve_room + _TALL + 0.55,
        "Coupling over time to the longest capsules" if curves else f"Class {word} of {noun}",
        _subtitle(windows if curves else None, step, classes, word if class_lengths else None),
    )
    for column, (bands, output) in enumerate(zip(spectrograms, outputs, strict=True)):
        left, seconds = _LEFT + column * (width + _GAP), bands.shape[1] * unit
        ranked = output.lengths[0].topk(min(2, classes))
        above = axes_at(figure, left, bars + curve_room + 0.15, width, _TALL)
        draw_sequence(above, bands, step)
        _limit(above, spectrograms, seconds, step)
        longest = class_label(model.class_names, int(ranked.indices[0]), 10)
        above.set_title(f"{plain(names[column], 22)}\n{first}: {longest} ({float(ranked.values[0]):.2f})")
        lowest = above
        if curves and windows is not None:
            above.set_xticks([])
            lowest = axes_at(figure, left, bars + 0.6, width, _LOW)
            curve = curves[column][:, ranked.indices]
            _draw_curves(lowest, windows.middles(len(curve)) * unit, curve)
            lowest.axhline(1 / classes, color=GREY, linewidth=0.9, linestyle="--")
            lowest.set_ylim(0, 1.05 * max(1 / classes, *(float(one.max()) for one in curves)))
        lowest.set_xlim(0, seconds)
        lowest.set_xlabel("step" if step is None else "seconds")
        lowest.locator_params(axis="x", nbins=4)
        if column == 0:
            above.set_ylabel("value" if step is None else "mel band")
            if curves:
                lowest.set_ylabel("coupling")
        else:
            above.set_yticks([])
            if curves:
                lowest.set_yticklabels([])
    for column, output in enumerate(outputs if class_lengths else ()):
        axes = axes_at(figure, _LEFT + column * (width + _GAP), 0.15, width, bars - 0.3)
        _draw_lengths(axes, output.lengths[0], model.class_names)
    return figure


def _limit(axes: Axes, sequences: Sequence[Float[Tensor, "c _"]], end: float, step: float | None) -> None:
    """All time, and for series the values of all sequences, which share an axis."""
    axes.set_xlim(0, end)
    if step is None:
        axes.set_ylim(min(float(one.min()) for one in sequences), max(float(one.max()) for one in sequences))


def _subtitle(windows: TimeWindows | None, step: float | None, classes: int, word: str | None) -> str:
    text, each = "Top: the series, a line for each channel.", ""
    if step is not None:
        text, each = "Top: energy by mel band and time, light is loud.", f" of {1000 * step:.0f} ms"
    if windows is not None:
        text += (
            f" {'Middle' if word else 'Bottom'}: coupling of each window of {windows.size} steps{each}, "
            f"mean over its {windows.num_types} primary capsules, to the longest class capsule (orange) and "
            f"the second longest (blue). Dashed: uniform over {classes} classes."
        )
    if word is not None:
        text += f" Bottom: {word} of the {min(_BARS, classes)} classes of the greatest {word}."
    return text


def _draw_lengths(axes: Axes, lengths: Float[Tensor, " n"], class_names: Sequence[str]) -> None:
    """Bars of the longest class capsules, the longest at the top; names stand inside, on the bars."""
    ranked = lengths.topk(min(_BARS, len(lengths)))
    places = range(len(ranked.values))
    colors = [ORANGE, BLUE, *[SKY] * _BARS][: len(ranked.values)]
    axes.barh(places, ranked.values.tolist(), height=0.72, color=colors, alpha=0.45)
    for place, label, length in zip(places, ranked.indices.tolist(), ranked.values.tolist(), strict=True):
        axes.text(0.02, place, class_label(class_names, label, 14), size=8, va="center", color=INK)
        axes.text(1.0, place, f"{length:.2f}", size=8, va="center", ha="right", color=INK)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(places) - 0.5, -0.5)
    bare(axes)


def _draw_curves(axes: Axes, seconds: Tensor, coupling: Tensor) -> None:
    """Coupling `w 2` to the longest and to the second-longest capsule, at the middles of the windows."""
    for column, color in zip(reversed(range(coupling.shape[1])), (BLUE, ORANGE)[-coupling.shape[1] :], strict=True):
        axes.plot(seconds, coupling[:, column], color=color, linewidth=1.4, marker="o", markersize=2.5)
