"""The number of routing iterations: r = 1, 2, 3, 5, 7 and 10.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, compare 1 and 3 in Table 1. CapsNet_Project
(HB5101, 2020) compares 2 and 3 in one run each.
"""

from capsnet.studies.quick import FULL_WORDS, quick
from capsnet.studies.study import STUDIES, Budget, Comparison, Reported, Row, Study

_REPORTED = {1: Reported(0.29, 0.011, 3), 3: Reported(0.25, 0.005, 3)}
_ITERATIONS = (1, 2, 3, 5, 7, 10)

STUDIES.add(
    "routing-iterations",
    Study(
        summary="MNIST: 1, 2, 3, 5, 7 and 10 routing iterations, loss and error over the steps",
        source="Sabour, Frosst, Hinton, NeurIPS 2017, Table 1 (r = 1 and 3)",
        rows=tuple(
            Row(f"r{count}", f"r = {count}", "sabour2017-mnist", {"iterations": count}, _REPORTED.get(count))
            for count in _ITERATIONS
        ),
        comparisons=tuple(Comparison(f"r{count}", "r3") for count in _ITERATIONS if count != 3),
        budgets={"quick": quick(5), "full": Budget(FULL_WORDS, 3)},
        figure="curves",
    ),
)
