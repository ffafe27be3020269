"""The paper's text against its authors' released code: each difference alone, and all of them together.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, and the code released with it. Two rows are
not differences between text and code, but common in other implementations: a constant learning rate, and the gradient
through the last routing iteration only.
"""

from capsnet.studies.quick import FULL_WORDS, quick
from capsnet.studies.study import STUDIES, Budget, Comparison, Reported, Row, Study

_TEXT, _CODE = "sabour2017-mnist", "sabour2017-mnist-authors"
_CONSTANT = {"schedule": "exponential", "lr_decay": 1.0}
_ROWS = (
    Row("text", "the paper's text", _TEXT, {}, Reported(0.25, 0.005, 3)),
    Row("scale", "1/32 before the primary squash", _TEXT, {"model_options": {"primary_scale": 1 / 32}}),
    Row("bias", "bias in the routing's sum", _TEXT, {"model_options": {"routing_bias": True}}),
    Row("initialisation", "the code's initialisation", _TEXT, {"model_options": {"initialisation": "authors"}}),
    Row("loss-ratio", "reconstruction weighs 0.01, not 0.0005", _TEXT, {"recon_weight": 0.01}),
    Row("constant-rate", "constant learning rate of 0.001", _TEXT, _CONSTANT),
    Row("last-gradient", "gradient through the last iteration only", _TEXT, {"model_options": {"gradient": "last"}}),
    Row("code", "the authors' code: the first four together", _CODE, {}, Reported(0.25, 0.005, 3)),
)

STUDIES.add(
    "paper-or-code",
    Study(
        summary="MNIST: each difference between the paper's text and the authors' code alone, and all together",
        source="Sabour, Frosst, Hinton, NeurIPS 2017, and the code released with it",
        rows=_ROWS,
        comparisons=tuple(Comparison(row.name, "text") for row in _ROWS[1:]),
        budgets={"quick": quick(5), "full": Budget(FULL_WORDS, 3)},
    ),
)
