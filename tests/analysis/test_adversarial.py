import pytest
import torch

from capsnet.analysis.adversarial import measure_adversarial, say_adversarial
from capsnet.errors import UserError
from capsnet.models import CapsuleModel, create_model

FEW = {"epsilons": (0.1, 0.5), "steps": 2, "step_counts": (1, 2), "queries": 2}


def test_every_attack_has_a_curve_by_both_losses(make_subject):
    model, data = make_subject()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = measure_adversarial(model, data, **FEW)
    pairs = [(curve["attack"], curve["loss"]) for curve in found["curves"]]
    assert pairs == [
        *[(attack, loss) for loss in ("margin", "cross-entropy") for attack in ("fgsm", "bim", "pgd")],
        ("random", ""),
    ]
    assert len(found["checks"]) == 8
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_worst_case_is_at_most_every_attack(make_subject):
    found = measure_adversarial(*make_subject(), **FEW)
    for place, worst in enumerate(found["worst"]):
        assert all(worst["count"] <= curve["accuracy"][place]["count"] for curve in found["curves"])
        assert worst["count"] <= found["clean"]["count"]
    assert f"of {len(found['checks'])} checks" in say_adversarial(found)


def test_the_same_seed_gives_the_same_numbers(make_subject):
    model, data = make_subject()
    assert measure_adversarial(model, data, **FEW) == measure_adversarial(model, data, **FEW)


def test_strengths_and_steps_are_sorted(make_subject):
    model, data = make_subject()
    settings = {"attacks": ("fgsm",), "steps_epsilon": 0.1, "queries": 0}
    found = measure_adversarial(model, data, epsilons=(0.3, 0.1), step_counts=(4, 1), **settings)
    assert found == measure_adversarial(model, data, epsilons=(0.1, 0.3), step_counts=(1, 4), **settings)


def test_a_model_without_gradients_fails_the_checks(make_subject):
    _, data = make_subject()

    class Masked(CapsuleModel):
        """Sees whole images only: its gradient is zero everywhere."""

        def __init__(self):
            super().__init__((1, 20, 20), 4)
            self.model = create_model("capsnet-tiny", image_shape=(1, 20, 20), num_classes=4)

        def forward(self, images):
            return self.model(images.round() + 0 * images)

    found = measure_adversarial(Masked().eval(), data, **FEW)
    checks = {check["name"]: check for check in found["checks"]}
    first = checks["the cross-entropy has a gradient at every image"]
    assert not first["passed"]
    assert first["numbers"]["zero_gradient_share"] == 1
    assert not checks["the loss rises more along the gradient than in random directions"]["passed"]


def test_impossible_settings_are_refused(make_subject):
    model, data = make_subject()
    with pytest.raises(UserError, match="steps_epsilon must be one of"):
        measure_adversarial(model, data, epsilons=(0.2,))
    with pytest.raises(UserError, match="unknown attack 'cw'"):
        measure_adversarial(model, data, attacks=("fgsm", "cw"))
    with pytest.raises(UserError, match="at least one step, got 0"):
        measure_adversarial(model, data, steps=0)
    with pytest.raises(UserError, match="single class"):
        measure_adversarial(*make_subject(classes=1))
