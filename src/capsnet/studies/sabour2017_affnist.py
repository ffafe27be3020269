"""Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 5.2: affNIST.

A network that is better on clean digits is usually better on transformed ones too. Both networks are therefore trained
until they reach the same accuracy on held-out images, shifted like the training images (`stop_at`).

How the quick budget was chosen: as in sabour2017_multimnist.py. An image of 40x40 pixels takes 0.80e9 multiply-adds in
the capsule network and 0.27e9 in the CNN: 22 minutes for each seed if neither stops early.
"""

from capsnet.data.affnist import find_test_set
from capsnet.studies.study import STUDIES, Budget, Changes, Comparison, Reported, Row, StandIn, Study

_QUICK: Changes = {
    "epochs": 5,
    "limit": 4_000,
    "batch_size": 32,
    "validation": 1_000,
    "test_limit": 10_000,
    "stop_at": 0.9,
    "lr_decay": 1.0,
}

STUDIES.add(
    "sabour2017-affnist",
    Study(
        summary="affNIST: CapsNet and CNN, trained on shifted MNIST to the same accuracy, tested on transformed digits",
        source="Sabour, Frosst, Hinton, NeurIPS 2017, section 5.2",
        rows=(
            Row("cnn", "CNN", "sabour2017-affnist-cnn", reported=Reported(34.0)),
            Row("capsnet", "CapsNet, r = 3, reconstruction", "sabour2017-affnist", reported=Reported(21.0)),
        ),
        comparisons=(Comparison("capsnet", "cnn"),),
        budgets={
            "quick": Budget(
                "4,000 training images, shifted at random in each epoch, until 90 % of 1,000 held-out ones are "
                "correct, at most 5 epochs in steps of 32; Adam at 0.001; tested on 10,000 images",
                2,
                _QUICK,
            ),
            "full": Budget(
                "54,000 training images, shifted at random in each epoch, until 99.23 % of the other 6,000 are "
                "correct, at most 50 epochs in steps of 128; Adam at 0.001 × 0.96 each 2,000 steps",
                5,
            ),
        },
        stand_in=StandIn(
            "affnist",
            "affnist-like",
            lambda data_dir: find_test_set(data_dir) is not None,
            "affNIST's own file was missing. The test set is affnist-like instead: MNIST's 10,000 test images, each "
            "transformed once within affNIST's published ranges. Errors on it are not errors on affNIST, so the table "
            "omits the paper's",
        ),
    ),
)
