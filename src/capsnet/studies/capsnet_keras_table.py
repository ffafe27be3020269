"""CapsNet-Keras' table: 3 routing iterations and 1, accuracy after 1, 5, 10, 15 and 20 epochs.

XifengGuo, CapsNet-Keras, README of its first version (2017).
"""

from collections.abc import Sequence

from capsnet.studies.study import STUDIES, Budget, Comparison, Reported, Row, Study, accuracies

_EPOCHS = (1, 5, 10, 15, 20)
_ALL = {"validation": 0}
_THREE = (90.65, 98.95, 99.36, 99.63, 99.75), (98.51, 99.30, 99.34, 99.49, 99.59)
_ONE = (89.64, 99.02, 99.42, 99.66, 99.73), (98.55, 99.33, 99.43, 99.57, 99.58)


def _row(iterations: int, train: Sequence[float], test: Sequence[float]) -> Row:
    return Row(
        f"r{iterations}",
        f"r = {iterations}",
        "capsnet-keras-first-mnist",
        {"iterations": iterations, **_ALL},
        Reported(round(100 - test[-1], 2), n=1),
        accuracies(_EPOCHS, train, test),
    )


STUDIES.add(
    "capsnet-keras-table",
    Study(
        summary="MNIST: CapsNet-Keras' table, r = 3 and 1, accuracy after 1 to 20 epochs",
        source="github.com/XifengGuo/CapsNet-Keras, README of the first version (2017)",
        rows=(_row(3, *_THREE), _row(1, *_ONE)),
        comparisons=(Comparison("r1", "r3"),),
        budgets={
            "quick": Budget("all 60,000 training images, 1 of the 20 epochs, batch 100", 1, {"epochs": 1}, stages=(1,)),
            "full": Budget("all 60,000 training images, 20 epochs, batch 100", 1, stages=_EPOCHS),
        },
        figure="curves",
    ),
)
