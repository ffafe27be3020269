"""Studies: the papers' tables as data, one file each, and what fills them."""

# the modules below register their studies
from capsnet.studies import capsnet_keras_table as _capsnet_keras_table  # noqa: F401
from capsnet.studies import capsnet_project_table as _capsnet_project_table  # noqa: F401
from capsnet.studies import paper_or_code as _paper_or_code  # noqa: F401
from capsnet.studies import routing_iterations as _routing_iterations  # noqa: F401
from capsnet.studies import routings_mnist as _routings_mnist  # noqa: F401
from capsnet.studies import sabour2017_affnist as _sabour2017_affnist  # noqa: F401
from capsnet.studies import sabour2017_cifar10 as _sabour2017_cifar10  # noqa: F401
from capsnet.studies import sabour2017_multimnist as _sabour2017_multimnist  # noqa: F401
from capsnet.studies import sabour2017_smallnorb as _sabour2017_smallnorb  # noqa: F401
from capsnet.studies import sabour2017_svhn as _sabour2017_svhn  # noqa: F401
from capsnet.studies import sabour2017_table1 as _sabour2017_table1  # noqa: F401
from capsnet.studies import speedrun as _speedrun  # noqa: F401
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
from capsnet.studies.table import Table as Table
from capsnet.studies.table import make_table as make_table

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
]
