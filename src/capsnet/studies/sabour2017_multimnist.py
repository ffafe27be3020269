"""Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, Table 1, the column of MultiMNIST.

How the quick budget was chosen: a network learns from 20e9 multiply-adds of its forward pass a second on two cores
(123 images a second of the network for MNIST, 0.20e9 each, were measured on an AMD EPYC, less a fifth), and is tested
three times as fast. A pair takes 0.55e9 of the capsule network and 1.14e9 of the CNN: 21 minutes a seed.
"""

from capsnet.studies.quick import quick_of
from capsnet.studies.study import STUDIES, Budget, Comparison, Reported, Row, Study

_CAPSNET, _CNN = "sabour2017-multimnist", "sabour2017-multimnist-cnn"

STUDIES.add(
    "sabour2017-multimnist",
    Study(
        summary="MultiMNIST: baseline CNN, 1 and 3 routing iterations; both digits of a pair found and reconstructed",
        source="Sabour, Frosst, Hinton, NeurIPS 2017, Table 1",
        rows=(
            Row("baseline", "baseline CNN", _CNN, reported=Reported(8.1)),
            Row("r1-recon", "CapsNet, r = 1, reconstruction", _CAPSNET, {"iterations": 1}, Reported(7.5)),
            Row("r3-recon", "CapsNet, r = 3, reconstruction", _CAPSNET, {}, Reported(5.2)),
        ),
        comparisons=(Comparison("r3-recon", "baseline"), Comparison("r3-recon", "r1-recon")),
        budgets={
            "quick": quick_of(8_000, 2, "pairs, one on each of so many training digits"),
            "full": Budget(
                "60 million pairs of 60,000 training digits, drawn anew for each of 469,000 steps of 128; "
                "Adam at 0.001 × 0.96 each 20,000 steps; the last step is tested on 10 million pairs",
                3,
                {"pairs_per_digit": 1000},
            ),
        },
    ),
)
