"""Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 7: smallNORB.

How the quick budget was chosen: as in sabour2017_multimnist.py. An image takes 0.37e9 multiply-adds: 10 minutes for
each network, a quarter of them for the test on 24,300 images.
"""

from capsnet.studies.quick import quick_of
from capsnet.studies.study import STUDIES, Budget, Reported, Row, Study

STUDIES.add(
    "sabour2017-smallnorb",
    Study(
        summary="smallNORB: the network for MNIST, tested on stereo pairs of new toys",
        source="Sabour, Frosst, Hinton, NeurIPS 2017, section 7",
        rows=(Row("capsnet", "CapsNet, r = 3", "sabour2017-smallnorb", reported=Reported(2.7)),),
        comparisons=(),
        budgets={
            "quick": quick_of(24_300, 3),
            "full": Budget(
                "24,300 training images, 300,000 steps of 128; Adam at 0.001 × 0.96 each 2,000 steps; "
                "the last step is tested",
                3,
            ),
        },
    ),
)
