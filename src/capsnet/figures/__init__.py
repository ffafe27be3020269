"""Figures and reports, made from run folders; one file per figure."""

# matplotlib first: all figures build on it
from capsnet.figures import _matplotlib as _matplotlib
from capsnet.figures.draw import draw_figures as draw_figures
from capsnet.figures.prediction import draw_prediction as draw_prediction
from capsnet.figures.report import write_report as write_report
from capsnet.figures.subject import FIGURES as FIGURES
from capsnet.figures.view import show as show
from capsnet.figures.view import show_figure as show_figure
from capsnet.figures.view import show_figures as show_figures
from capsnet.registry import import_modules

import_modules(
    __name__,
    leave=(
        "analyses",
        "command",
        "elements",
        "facts",
        "fidelity",
        "lines",
        "masks",
        "other_runs",
        "pictures",
        "report",
        "sections",
        "segmentation",
        "sequence",
        "sequence_data",
        "study",
        "view",
    ),
)


__all__ = ["FIGURES", "draw_figures", "draw_prediction", "show", "show_figure", "show_figures", "write_report"]
