"""Studies: the papers' tables as data, one file each, and the code that runs them."""

from capsnet.registry import import_modules
from capsnet.studies.against import PairedTest as PairedTest
from capsnet.studies.against import compare_predictions as compare_predictions
from capsnet.studies.against import compare_runs as compare_runs
from capsnet.studies.runner import reproduce as reproduce
from capsnet.studies.study import STUDIES as STUDIES
from capsnet.studies.study import Budget as Budget
from capsnet.studies.study import Comparison as Comparison
from capsnet.studies.study import Reported as Reported
from capsnet.studies.study import Row as Row
from capsnet.studies.study import StandIn as StandIn
from capsnet.studies.study import Study as Study
from capsnet.studies.study import Task as Task
from capsnet.studies.study import Together as Together
from capsnet.studies.study import plan as plan
from capsnet.studies.sweep import sweep as sweep
from capsnet.studies.table import Table as Table
from capsnet.studies.table import make_table as make_table

import_modules(__name__, leave=("worker",))


__all__ = [
    "STUDIES",
    "Budget",
    "Comparison",
    "PairedTest",
    "Reported",
    "Row",
    "StandIn",
    "Study",
    "Table",
    "Task",
    "Together",
    "compare_predictions",
    "compare_runs",
    "make_table",
    "plan",
    "reproduce",
    "sweep",
]
