"""Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Table 1, the rows of MNIST."""

from capsnet.studies.quick import FULL_WORDS, quick
from capsnet.studies.study import STUDIES, Budget, Comparison, Reported, Row, Study

_TEXT = "sabour2017-mnist"

STUDIES.add(
    "sabour2017-table1",
    Study(
        summary="MNIST: baseline CNN, 1 and 3 routing iterations, with and without reconstruction",
        source="Sabour, Frosst, Hinton, NeurIPS 2017, Table 1",
        rows=(
            Row("baseline", "baseline CNN", "sabour2017-mnist-cnn", reported=Reported(0.39)),
            Row(
                "r1-no-recon",
                "CapsNet, r = 1, no reconstruction",
                _TEXT,
                {"iterations": 1, "recon_weight": 0.0},
                Reported(0.34, 0.032, 3),
            ),
            Row("r1-recon", "CapsNet, r = 1, reconstruction", _TEXT, {"iterations": 1}, Reported(0.29, 0.011, 3)),
            Row(
                "r3-no-recon",
                "CapsNet, r = 3, no reconstruction",
                _TEXT,
                {"recon_weight": 0.0},
                Reported(0.35, 0.036, 3),
            ),
            Row("r3-recon", "CapsNet, r = 3, reconstruction", _TEXT, {}, Reported(0.25, 0.005, 3)),
        ),
        comparisons=(
            Comparison("r3-recon", "baseline"),
            Comparison("r3-recon", "r1-recon"),
            Comparison("r3-recon", "r3-no-recon"),
            Comparison("r1-recon", "r1-no-recon"),
        ),
        budgets={
            # on two cores the paper's CNN trains at 11 images per second, one with a quarter of its channels at 200
            "quick": quick(
                5,
                rows={"baseline": {"model": "baseline-cnn-quarter"}},
                labels={"baseline": ", a quarter of the channels"},
                words="; the CNN has a quarter of the paper's channels",
            ),
            "full": Budget(FULL_WORDS, 3),
        },
    ),
)
