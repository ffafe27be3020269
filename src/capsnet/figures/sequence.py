"""Spectrograms with the coupling of each window of a recording to the longest class capsules."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.data.spectrogram import HOP
from capsnet.errors import UserError
from capsnet.figures.style import BLUE, GREY, ORANGE, axes_at, class_label, new_figure, plain, styled
from capsnet.models import SequenceModel

_MOST, _LEFT, _RIGHT, _GAP, _TALL, _LOW = 4, 0.8, 0.25, 0.25, 1.5, 1.1


@styled
@torch.no_grad()
def draw_couplings(
    model: SequenceModel, spectrograms: Sequence[Float[Tensor, "c _"]], names: Sequence[str], step: float = HOP
) -> Figure:
    """Draw spectrograms, and below each how far its windows are routed to the longest and second-longest capsule.

    Args:
        model: with primary capsules.
        spectrograms: of recordings; the first four are drawn.
        names: a title for each.
        step: seconds between the steps of a spectrogram.

    Shapes:
        each spectrogram `c t`.

    Raises:
        UserError: the model has no primary capsules, or its routing returns no coupling.
    """
    spectrograms, windows = list(spectrograms[:_MOST]), model.windows
    outputs = [model.eval()(bands[None]) for bands in spectrograms]
    couplings = [output.coupling for output in outputs if output.coupling is not None]
    if windows is None or len(couplings) < len(outputs):
        raise UserError("the model has no coupling of windows of time to its classes")
    curves, classes = [windows.coupling(coupling)[0] for coupling in couplings], outputs[0].lengths.shape[1]
    columns = len(spectrograms)
    width = (8.0 - _LEFT - _RIGHT - _GAP * (columns - 1)) / columns
    subtitle = (
        f"Top: energy by mel band and time, light is loud. Bottom: coupling of each window of {windows.size} steps of "
        f"{1000 * step:.0f} ms, mean over its {windows.num_types} primary capsules, to the longest class capsule "
        f"(orange) and the second longest (blue). Dashed: uniform over {classes} classes."
    )
    figure = new_figure(8.0, _TALL + _LOW + 1.15, "Coupling over time to the longest capsules", subtitle)
    highest = max(1 / classes, *(float(curve.max()) for curve in curves))
    for column, (bands, output) in enumerate(zip(spectrograms, outputs, strict=True)):
        left, seconds = _LEFT + column * (width + _GAP), bands.shape[1] * step
        ranked = output.lengths[0].topk(min(2, classes))
        above = axes_at(figure, left, _LOW + 0.75, width, _TALL)
        above.imshow(bands.numpy(), origin="lower", aspect="auto", extent=(0, seconds, 0, len(bands)), cmap="magma")
        longest = class_label(model.class_names, int(ranked.indices[0]), 10)
        above.set_title(f"{plain(names[column], 22)}\nlongest: {longest} ({float(ranked.values[0]):.2f})")
        above.set_xticks([])
        below = axes_at(figure, left, 0.6, width, _LOW)
        curve = curves[column][:, ranked.indices]
        _draw_curves(below, windows.middles(len(curve)) * step, curve)
        below.axhline(1 / classes, color=GREY, linewidth=0.9, linestyle="--")
        below.set_xlim(0, seconds)
        below.set_ylim(0, 1.05 * highest)
        below.set_xlabel("seconds")
        below.locator_params(axis="x", nbins=4)
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
