"""Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 7: CIFAR-10, seven networks.

How the quick budget was chosen: as in sabour2017_multimnist.py. An image takes 1.58e9 multiply-adds: 46 minutes for
three networks, including 4 minutes for the test of each network and the same again for testing all together.
"""

from capsnet.studies.quick import quick_of
from capsnet.studies.study import STUDIES, Budget, Reported, Row, Study, Together

STUDIES.add(
    "sabour2017-cifar10",
    Study(
        summary="CIFAR-10: seven networks, each alone and all together by summed capsule lengths",
        source="Sabour, Frosst, Hinton, NeurIPS 2017, section 7",
        rows=(Row("networks", "one network", "sabour2017-cifar10"),),
        comparisons=(),
        budgets={
            "quick": quick_of(5_000, 3),
            "full": Budget(
                "50,000 training images, 600,000 steps of 128; Adam at 0.001 × 0.96 each 2,000 steps; "
                "the last step is tested",
                7,
            ),
        },
        together=Together("networks", "networks together, by summed lengths", Reported(10.6)),
    ),
)
