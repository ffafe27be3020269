"""Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 7: SVHN.

How the quick budget was chosen: as in sabour2017_multimnist.py. An image takes 0.04e9 multiply-adds, in small layers
that reach half the speed at most: under 6 minutes for each network.
"""

from capsnet.studies.quick import quick_of
from capsnet.studies.study import STUDIES, Budget, Reported, Row, Study

STUDIES.add(
    "sabour2017-svhn",
    Study(
        summary="SVHN: a smaller network on the 73,257 training images alone",
        source="Sabour, Frosst, Hinton, NeurIPS 2017, section 7",
        rows=(Row("capsnet", "CapsNet, r = 3, a smaller network", "sabour2017-svhn", reported=Reported(4.3)),),
        comparisons=(),
        budgets={
            "quick": quick_of(73_257, 3),
            "full": Budget(
                "73,257 training images, 300,000 steps of 128; Adam at 0.001 × 0.96 each 2,000 steps; "
                "the last step is tested",
                3,
            ),
        },
    ),
)
