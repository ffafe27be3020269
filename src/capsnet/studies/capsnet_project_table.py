"""CapsNet_Project's study: 2 routing iterations against 3, 50 epochs each.

HB5101, CapsNet_Project (2020), its CSV logs: last-epoch test accuracy 99.35 % (r = 2) and 99.46 % (r = 3).
"""

from capsnet.studies.study import STUDIES, Budget, Comparison, Reported, Row, Study

_ALL = {"validation": 0}

STUDIES.add(
    "capsnet-project-table",
    Study(
        summary="MNIST: CapsNet_Project's 2 against 3 routing iterations, 50 epochs",
        source="github.com/HB5101/CapsNet_Project, its CSV logs (2020)",
        rows=(
            Row("r2", "r = 2", "capsnet-project-mnist-r2", _ALL, Reported(0.65, n=1)),
            Row("r3", "r = 3", "capsnet-project-mnist", _ALL, Reported(0.54, n=1)),
        ),
        comparisons=(Comparison("r2", "r3"),),
        budgets={
            "quick": Budget("all 60,000 training images, 1 of the 50 epochs, batch 128", 1, {"epochs": 1}),
            "full": Budget("all 60,000 training images, 50 epochs, batch 128, no augmentation", 1),
        },
        figure="curves",
    ),
)
