"""Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Table 1, the column of MultiMNIST.

How the quick budget was chosen: two cores train at 20e9 multiply-adds of the forward pass per second (measured on an
AMD EPYC: 123 images per second of the MNIST network, 0.20e9 each, less a fifth), and test three times as fast. A pair
takes 0.55e9 in the capsule network and 1.14e9 in the CNN: 21 minutes for each seed.
"""

from capsnet.studies.quick import quick_of
from capsnet.studies.study import STUDIES, Budget, Comparison, Reported, Row, Study

_CAPSNET, _CNN = "sabour2017-multimnist", "sabour2017-multimnist-cnn"

STUDIES.add(
    "sabour2017-multimnist",
    Study(
        summary="MultiMNIST: baseline CNN, 1 and 3 routing iterations; both digits classified and reconstructed",
        source="Sabour, Frosst, Hinton, NeurIPS 2017, Table 1",
        rows=(
            Row("baseline", "baseline CNN", _CNN, reported=Reported(8.1)),
            Row("r1-recon", "CapsNet, r = 1, reconstruction", _CAPSNET, {"iterations": 1}, Reported(7.5)),
            Row("r3-recon", "CapsNet, r = 3, reconstruction", _CAPSNET, {}, Reported(5.2)),
        ),
        comparisons=(Comparison("r3-recon", "baseline"), Comparison("r3-recon", "r1-recon")),
        budgets={
            "quick": quick_of(8_000, 2, "pairs, one for each of 8,000 training digits"),
            "full": Budget(
                "60 million random pairs of 60,000 training digits in 469,000 steps of 128; "
                "Adam at 0.001 × 0.96 each 20,000 steps; the last step is tested on 10 million pairs",
                3,
                {"pairs_per_digit": 1000},
            ),
        },
    ),
)
