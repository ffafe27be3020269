import pytest
import torch

from capsnet import create_model
from capsnet.errors import UserError
from capsnet.runs.weights import count_parameters


@pytest.mark.parametrize(
    ("name", "count"),
    [("baseline-cnn", 35_445_522), ("baseline-cnn-multimnist", 24_563_978), ("baseline-cnn-quarter", 8_449_650)],
)
def test_parameter_counts_are_the_papers(name, count):
    with torch.device("meta"):
        assert count_parameters(create_model(name)) == count


@pytest.fixture
def small():
    return create_model("baseline-cnn", channels=(4, 6), kernel_sizes=(5, 3), hidden=(20,))


def test_output_is_made_of_logits_and_probabilities(small):
    out = small(torch.rand(3, 1, 28, 28))
    assert out.capsules.poses.shape == (3, 10, 1)
    torch.testing.assert_close(out.capsules.poses[..., 0].softmax(1), out.lengths)
    torch.testing.assert_close(out.lengths.sum(1), torch.ones(3))
    assert out.coupling is None


@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize(("shape", "classes"), [((3, 9, 14), 1), ((1, 7, 7), 5)])
def test_any_image_size_channels_and_class_count(shape, classes, pool):
    options = {"channels": (4, 6), "kernel_sizes": (5, 3), "hidden": (), "pool": pool}
    model = create_model("baseline-cnn", image_shape=shape, num_classes=classes, **options)
    assert model(torch.rand(2, *shape)).lengths.shape == (2, classes)


def test_every_parameter_gets_a_gradient(small):
    small(torch.rand(8, 1, 28, 28)).capsules.poses.square().sum().backward()
    assert not [name for name, parameter in small.named_parameters() if parameter.grad is None]


def test_dropout_acts_in_training_only(small):
    images = torch.rand(2, 1, 28, 28)
    assert not small(images).lengths.equal(small(images).lengths)
    small.eval()
    assert small(images).lengths.equal(small(images).lengths)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_sizes": (5, 4, 5)}, "must be odd"),
        ({"channels": (4,)}, "must be equally many"),
        ({"dropout": 1.0}, "below 1"),
        ({"num_classes": 0}, "num_classes must be at least 1"),
        ({"pool": True, "image_shape": (1, 4, 9)}, "at least 8x8 for 3 poolings"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        create_model("baseline-cnn", **options)


def test_images_of_another_shape_are_refused(small):
    with pytest.raises(UserError, match="images must be b x"):
        small(torch.rand(1, 1, 20, 20))
