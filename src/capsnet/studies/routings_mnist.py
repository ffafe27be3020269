"""Test errors on MNIST of other papers' networks and routings, trained for minutes on one core."""

from capsnet.studies.study import STUDIES, Budget, Row, Study

_ROWS = (
    Row("self-attention", "Efficient-CapsNet, self-attention", "mazzia2021-mnist-quick"),
    Row("em", "matrix capsules, EM", "hinton2018-mnist-quick"),
    Row("variational-bayes", "matrix capsules, variational Bayes", "ribeiro2020-mnist-quick"),
    Row("self-routing", "ResNet-20, self-routing", "hahn2019-mnist-quick"),
    Row("inverted-attention", "inverted dot-product attention", "tsai2020-mnist-quick"),
)
_WORDS = (
    "each network by its own quick recipe: 3 to 15 epochs of Adam with a one-cycle learning rate on 55,000 training "
    "images; the other 5,000 are for validation; the weights best on validation are tested"
)

STUDIES.add(
    "routings-mnist",
    Study(
        summary="MNIST: self-attention, EM, variational Bayes, self-routing and inverted attention",
        source="no paper: the quick recipes of this package",
        rows=_ROWS,
        comparisons=(),
        budgets={
            "quick": Budget(_WORDS, 2),
            "full": Budget(_WORDS.replace("3 to 15", "40"), 5, {"epochs": 40}),
        },
    ),
)
