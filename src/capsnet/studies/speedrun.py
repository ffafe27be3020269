"""Time to accuracy: training time of the paper's network to 99.5 % on MNIST's test split, over several seeds."""

from capsnet.studies.study import STUDIES, Budget, Row, Study

_WORDS = (
    "60,000 training images, 8 epochs in steps of 128; one-cycle learning rate, at most 0.002; the last step is tested"
)

STUDIES.add(
    "speedrun-mnist",
    Study(
        summary="MNIST: training time and test error of a fast schedule of 8 epochs",
        source="no paper: a speed run of the network of Sabour, Frosst, Hinton, NeurIPS 2017",
        rows=(Row("one-cycle", "CapsNet, one cycle over 8 epochs", "speedrun-mnist"),),
        comparisons=(),
        budgets={"quick": Budget(_WORDS, 1), "full": Budget(_WORDS, 5)},
    ),
)
