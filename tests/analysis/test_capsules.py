import pytest
import torch
from torch import nn

from capsnet.analysis.capsules import measure_capsules, say_capsules
from capsnet.data import ImageData
from capsnet.models import create_model


def test_children_below_the_threshold_are_dead(make_subject):
    model, data = make_subject()
    # the capsules of the first type get neither weight nor bias
    nn.init.zeros_(model.primary_capsules.conv.weight[:8])
    found = measure_capsules(model, data, threshold=1e-6)
    assert found["dead"] == found["children"] // 4
    assert [value == 0 for value in found["largest"][:4]] == [True, False, False, False]
    assert f"{found['dead']:,} of {found['children']:,}" in say_capsules(found)


def test_lengths_of_true_and_other_classes_are_counted_apart(make_subject):
    model, data = make_subject(classes=3)
    found = measure_capsules(model, data)
    lengths = model(data.images.float() / 255).lengths.detach()
    true = lengths[torch.arange(len(data)), data.labels]
    assert found["present_mean"] == pytest.approx(float(true.mean()), rel=1e-5)
    assert found["absent_mean"] == pytest.approx(float((lengths.sum() - true.sum()) / 12), rel=1e-5)
    assert (sum(found["present"]["counts"]), sum(found["absent"]["counts"])) == (6, 12)


def test_class_capsules_that_never_wake_are_named(make_subject):
    model, data = make_subject()
    with torch.no_grad():
        model.class_capsules.weight[:, :, 2] = 0
    assert measure_capsules(model, data)["dead_classes"] == ["class 2"]


def test_children_without_activations_are_not_counted():
    model = create_model("attention-capsnet-small", image_shape=(1, 32, 32), num_classes=3).eval()
    model.class_names = ("a", "b", "c")
    data = ImageData(torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8), torch.arange(3), model.class_names)
    found = measure_capsules(model, data)
    assert (found["children"], found["dead"], found["means"]) == (0, 0, [])
    assert "below the classes" not in say_capsules(found)


def test_one_class_has_no_others(make_subject):
    found = measure_capsules(*make_subject(classes=1))
    assert found["absent_mean"] is None
    assert "others" not in say_capsules(found)


@pytest.mark.parametrize("loss", ["likelihood", "spread", "length-cross-entropy"])
def test_lengths_of_the_margin_loss_are_named_for_networks_trained_by_it_only(make_subject, loss):
    model, data = make_subject()
    assert "trains the true class to 0.9" in say_capsules(measure_capsules(model, data))
    model.loss = loss
    found = measure_capsules(model, data)
    assert (found["targets"], found["short"], found["long"]) == (None, None, None)
    assert "margin" not in say_capsules(found)
    model.loss = "hard-margin"
    assert "trains the true class to 0.95" in say_capsules(measure_capsules(model, data))
