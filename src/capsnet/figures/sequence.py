"""Spectrograms with the coupling of each window of a recording to the longest class capsules."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.data.sequences import SequenceData
from capsnet.data.spectrogram import HOP
from capsnet.errors import UserError
from capsnet.figures.style import BLUE, GREY, ORANGE, axes_at, class_label, new_figure, styled
from capsnet.models import SequenceModel

_MOST, _LEFT, _RIGHT, _GAP, _TALL, _LOW = 4, 0.8, 0.25, 0.25, 1.5, 1.1


@styled
@torch.no_grad()
def draw_couplings(model: SequenceModel, recordings: SequenceData, step: float = HOP) -> Figure:
    """Draw spectrograms, and below each how far its windows are routed to the longest and second-longest capsule.

    Args:
        model: with primary capsules.
        recordings: of the model's classes; the first four are drawn.
        step: seconds between the steps of a sequence.

    Raises:
        UserError: the model has no primary capsules, or its routing returns no coupling.
    """
    recordings = recordings.pick(torch.arange(min(_MOST, len(recordings))))
    output = model.eval()(recordings.sequences, recordings.lengths)
    windows = model.windows
    if windows is None or output.coupling is None:
        raise UserError("the model has no coupling of windows of time to its classes")
    curves, classes = windows.coupling(output.coupling), output.lengths.shape[1]
    columns = len(recordings)
    width = (8.0 - _LEFT - _RIGHT - _GAP * (columns - 1)) / columns
    subtitle = (
        f"Top: energy by mel band and time, light is loud. Bottom: coupling of each window of {windows.size} steps of "
        f"{1000 * step:.0f} ms, mean over its {windows.num_types} primary capsules, to the longest class capsule "
        f"(orange) and the second longest (blue). Dashed: uniform over {classes} classes."
    )
    figure = new_figure(8.0, _TALL + _LOW + 1.15, "Which moments of a word are routed to its class", subtitle)
    highest = max(float(curves.max()), 1 / classes)
    for column, steps in enumerate(recordings.lengths.tolist()):
        left, seconds = _LEFT + column * (width + _GAP), steps * step
        ranked = output.lengths[column].topk(min(2, classes))
        above = axes_at(figure, left, _LOW + 0.75, width, _TALL)
        bands = recordings.sequences[column, :, :steps].numpy()
        above.imshow(bands, origin="lower", aspect="auto", extent=(0, seconds, 0, len(bands)), cmap="magma")
        said = class_label(recordings.class_names, int(recordings.labels[column]), 10)
        longest = class_label(model.class_names, int(ranked.indices[0]), 10)
        above.set_title(f"spoken: {said}\nlongest: {longest} ({float(ranked.values[0]):.2f})")
        above.set_xticks([])
        below = axes_at(figure, left, 0.6, width, _LOW)
        number = windows.count(steps)
        _draw_curves(below, windows.middles(number) * step, curves[column, :number][:, ranked.indices])
        below.axhline(1 / classes, color=GREY, linewidth=0.9, linestyle="--")
        below.set_xlim(0, seconds)
        below.set_ylim(0, 1.05 * highest)
        below.set_xlabel("seconds")
        if column == 0:
            above.set_ylabel("mel band")
            below.set_ylabel("coupling")
        else:
            above.set_yticks([])
            below.set_yticklabels([])
    return figure


def _draw_curves(axes: Axes, seconds: Tensor, coupling: Tensor) -> None:
    """Coupling `w 2` to the longest and to the second-longest capsule, at the middles of the windows."""
    for column, color in zip(reversed(range(coupling.shape[1])), (BLUE, ORANGE)[-coupling.shape[1] :], strict=True):
        axes.plot(seconds, coupling[:, column], color=color, linewidth=1.4, marker="o", markersize=2.5)
