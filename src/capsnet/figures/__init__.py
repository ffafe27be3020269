"""Everything that a person looks at, made from run folders: one file per figure, and the report."""

# the modules below register their figures; the first is matplotlib, on which all of them build
from capsnet.figures import _matplotlib as _matplotlib
from capsnet.figures import adversarial as _adversarial  # noqa: F401
from capsnet.figures import capsules as _capsules  # noqa: F401
from capsnet.figures import confusion as _confusion  # noqa: F401
from capsnet.figures import coupling as _coupling  # noqa: F401
from capsnet.figures import curves as _curves  # noqa: F401
from capsnet.figures import data as _data  # noqa: F401
from capsnet.figures import detection as _detection  # noqa: F401
from capsnet.figures import errors as _errors  # noqa: F401
from capsnet.figures import iterations as _iterations  # noqa: F401
from capsnet.figures import manipulation as _manipulation  # noqa: F401
from capsnet.figures import pairs as _pairs  # noqa: F401
from capsnet.figures import reconstructions as _reconstructions  # noqa: F401
from capsnet.figures import robustness as _robustness  # noqa: F401
from capsnet.figures import routing as _routing  # noqa: F401
from capsnet.figures import samples as _samples  # noqa: F401
from capsnet.figures import structure as _structure  # noqa: F401
from capsnet.figures.draw import draw_figures as draw_figures
from capsnet.figures.prediction import draw_prediction as draw_prediction
from capsnet.figures.report import write_report as write_report
from capsnet.figures.subject import FIGURES as FIGURES
from capsnet.figures.view import show as show
from capsnet.figures.view import show_figure as show_figure
from capsnet.figures.view import show_figures as show_figures

__all__ = ["FIGURES", "draw_figures", "draw_prediction", "show", "show_figure", "show_figures", "write_report"]
