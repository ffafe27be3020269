"""CapsNet_Project's study: 2 routing iterations against 3, 50 epochs each.

HB5101, CapsNet_Project (2020). The accuracies are those of `encoder_acc` and `val_encoder_acc` (test split) in its
files CSV_data/CSV_Num2.csv and CSV_Num3.csv, which number epochs from 0.
"""

from collections.abc import Sequence

from capsnet.studies.study import STUDIES, Budget, Comparison, Reported, Row, Study, accuracies

_EPOCHS = (1, 3, 5, 10, 20, 30, 40, 50)
_TWO = (
    (74.77, 98.97, 99.45, 99.90, 100.00, 100.00, 100.00, 100.00),
    (98.41, 99.03, 99.22, 99.36, 99.35, 99.39, 99.36, 99.35),
)
_THREE = (
    (98.61, 99.29, 99.62, 99.94, 99.99, 100.00, 100.00, 100.00),
    (98.79, 99.21, 99.28, 99.42, 99.45, 99.47, 99.47, 99.46),
)


def _row(iterations: int, recipe: str, train: Sequence[float], test: Sequence[float]) -> Row:
    reported = Reported(round(100 - test[-1], 2), n=1)
    milestones = accuracies(_EPOCHS, train, test)
    return Row(f"r{iterations}", f"r = {iterations}", recipe, {"validation": 0}, reported, milestones)


STUDIES.add(
    "capsnet-project-table",
    Study(
        summary="MNIST: CapsNet_Project's 2 against 3 routing iterations",
        source="github.com/HB5101/CapsNet_Project, its CSV logs (2020)",
        rows=(_row(2, "capsnet-project-mnist-r2", *_TWO), _row(3, "capsnet-project-mnist", *_THREE)),
        comparisons=(Comparison("r2", "r3"),),
        budgets={
            "quick": Budget(
                "all 60,000 training images, 5 of the 50 epochs, batch 128, no augmentation",
                1,
                {"epochs": 5},
                stages=(1, 3, 5),
            ),
            "full": Budget("all 60,000 training images, 50 epochs, batch 128, no augmentation", 1, stages=_EPOCHS),
        },
        figure="curves",
    ),
)
