"""A data set of sequences: one spectrogram, or one series of sensor values, of each class."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.data.sequences import SequenceData
from capsnet.data.spectrogram import HOP
from capsnet.figures.style import BLUE, axes_at, class_label, new_figure, plain, styled

_COLUMNS, _MOST, _LEFT, _RIGHT, _GAP, _TALL, _BELOW = 4, 12, 0.75, 0.3, 0.5, 1.2, 0.85


@styled
def draw_sequences(data: SequenceData, title: str) -> Figure:
    """Draw the first sequence of each class: a recording as its spectrogram, any other as one line for each channel.

    Args:
        data: the first 12 classes are drawn.
        title: of the figure.
    """
    present = sorted(set(data.labels.tolist()))
    shown = present[:_MOST]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    is_sound = data.preparation is not None
    subtitle = (
        "The first training recording of each class: energy by mel band and time, light is loud."
        if is_sound
        else f"The first training series of each class; each line is one of its {data.sequences.shape[1]} channels."
    )
    if len(present) > _MOST:
        subtitle += f" The first {_MOST} of {len(present)} classes are shown."
    figure = new_figure(8.0, rows * (_TALL + _BELOW) + 0.1, title, subtitle)
    width = (8.0 - _LEFT - _RIGHT - _GAP * (_COLUMNS - 1)) / _COLUMNS
    for position, label in enumerate(shown):
        row, column = divmod(position, columns)
        bottom = 0.55 + (rows - 1 - row) * (_TALL + _BELOW)
        axes = axes_at(figure, _LEFT + column * (width + _GAP), bottom, width, _TALL)
        first = int((data.labels == label).nonzero()[0, 0])
        sequence = data.sequences[first, :, : int(data.lengths[first])]
        draw_sequence(axes, sequence, HOP if is_sound else None)
        axes.set_title(plain(class_label(data.class_names, label, 18), 18))
        axes.set_xlabel("seconds" if is_sound else "step")
        axes.locator_params(axis="x", nbins=4)
        if column == 0:
            axes.set_ylabel("mel band" if is_sound else "value")
    return figure


def draw_sequence(axes: Axes, sequence: Float[Tensor, "c t"], step: float | None) -> None:
    """Draw a spectrogram, or a series with one line for each channel.

    Args:
        axes: to draw in.
        sequence: without padding.
        step: seconds between the steps of a spectrogram; None: it is a series.
    """
    channels, steps = sequence.shape
    if step is not None:
        extent = (0, steps * step, 0, channels)
        axes.imshow(sequence.numpy(), origin="lower", aspect="auto", extent=extent, cmap="magma")
        return
    for channel, shade in zip(sequence, np.linspace(1.0, 0.35, channels), strict=True):
        axes.plot(channel.numpy(), color=BLUE, alpha=float(shade), linewidth=0.9)
