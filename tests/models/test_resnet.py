import pytest
import torch

from capsnet import UserError, create_model
from capsnet.runs.weights import count_parameters


def test_parameter_count_is_that_of_the_papers_cifar_network():
    # 0.27 M in the paper: convolutions 267,696, batch normalisation 1,376, classes 650
    assert count_parameters(create_model("resnet-20")) == 269_722


def test_output_is_made_of_logits_and_probabilities():
    model = create_model("resnet-20", image_shape=(1, 9, 14), num_classes=3, stages=((4, 1, 1), (6, 2, 2)))
    out = model(torch.rand(5, 1, 9, 14))
    assert out.capsules.poses.shape == (5, 3, 1)
    torch.testing.assert_close(out.capsules.poses[..., 0].softmax(1), out.lengths)
    assert out.coupling is None


def test_logits_are_those_of_the_mean_features():
    model = create_model("resnet-20", image_shape=(1, 8, 8), stages=((4, 1, 2),)).eval()
    images = torch.rand(2, 1, 8, 8)
    features = model.trunk(images).flatten(2).mean(2)
    expected = features @ model.classes.weight.T + model.classes.bias
    torch.testing.assert_close(model(images).capsules.poses[..., 0], expected)


def test_convolutions_start_as_in_the_paper():
    weight = create_model("resnet-20").trunk[3].second[0].weight
    # 9 x 16 inputs; the variance of 2,304 draws has a standard error of 3 %
    assert weight.var().item() == pytest.approx(2 / (9 * 16), rel=0.1)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["resnet-20", "attention-capsnet-small", "self-routing-capsnet-small"])
@pytest.mark.parametrize("stages", [(), ((16, 1),)])
def test_a_trunk_without_whole_stages_is_refused(name, stages):
    with pytest.raises(UserError, match=r"stages must be one or more of \(channels, blocks, first stride\), got"):
        create_model(name, stages=stages)
