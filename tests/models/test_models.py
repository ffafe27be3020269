"""What every model keeps, and the published numbers of parameters."""

import pytest
import torch

from capsnet import create_model, list_models
from capsnet.errors import UserError
from capsnet.losses import LOSSES
from capsnet.models import MODELS
from capsnet.models.factory import model_options
from capsnet.runs.weights import count_parameters

# the same networks with few channels, for the CPU
SMALL = {
    "backbone-capsnet": {"num_types": 2},
    "baseline-cnn": {"channels": (4, 4), "kernel_sizes": (3, 5), "hidden": (6, 5)},
    "baseline-cnn-multimnist": {"channels": (4, 4), "hidden": (6,)},
    "baseline-cnn-quarter": {"channels": (4, 4), "kernel_sizes": (3, 5), "hidden": (6, 5)},
    "capsnet": {"stem_channels": 8, "num_types": 2},
    "capsnet-authors": {"stem_channels": 8, "num_types": 2},
    "em-capsnet": {"sizes": (4, 3, 3, 3)},
    "em-capsnet-small": {"sizes": (4, 3, 3, 3)},
    "vb-capsnet": {"sizes": (4, 3, 3, 3)},
    "attention-capsnet": {"stages": ((4, 1, 1), (6, 1, 2)), "num_types": (3, 3, 3)},
    "attention-capsnet-cifar100": {"stages": ((4, 1, 1), (6, 1, 2)), "num_types": (3, 3, 3)},
    "attention-capsnet-small": {"stages": ((4, 1, 2), (6, 1, 2)), "num_types": (3, 3, 3)},
    "deepcaps": {"stem_channels": 8, "num_types": 3},
    "deepcaps-small": {"stem_channels": 8, "num_types": 3},
    "resnet-20": {"stages": ((4, 1, 1), (6, 1, 2))},
    "self-routing-capsnet": {"stages": ((4, 1, 1), (6, 1, 2)), "num_types": 3, "child_dim": 4},
}
models = pytest.mark.parametrize("name", list_models())


def make(name, **options):
    return create_model(name, **SMALL.get(name, {}), **options)


def without_decoder(name):
    """The option for it, where a model has the choice."""
    return {"decoder": False} if "decoder" in model_options(name) else {}


def count(name):
    with torch.device("meta"):
        return count_parameters(create_model(name, **without_decoder(name)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("baseline-cnn", 35_445_522),
        ("baseline-cnn-multimnist", 24_563_978),
        ("efficient-capsnet", 161_824),
        ("efficient-capsnet-smallnorb", 151_664),
        ("efficient-capsnet-multimnist", 154_656),
        ("em-capsnet", 316_650),
        ("em-capsnet-small", 68_618),
        ("vb-capsnet", 68_714),
        ("attention-capsnet", 1_828_817),
        ("attention-capsnet-cifar100", 2_799_629),
    ],
)
def test_parameter_counts_are_the_published_ones(name, expected):
    assert count(name) == expected


def test_small_attention_has_the_parameters_of_its_layers():
    trunk = 9 * 32 + 2 * 32
    for channels_in, channels in ((32, 32), (32, 64)):
        trunk += 9 * channels_in * channels + 9 * channels**2 + channels_in * channels + 3 * 2 * channels
    primary = 64 * 8 * 16 + 2 * 16
    capsules = (2 * 9 * 8 * 8 + 8 * 10) * 4 * 4 + 3 * 2 * 16
    assert count("attention-capsnet-small") == trunk + primary + capsules + 16 + 1 == 105_777


def test_self_routing_has_the_parameters_of_its_layers():
    trunk = 3 * 16 * 9 + 2 * 16
    for channels_in, channels, blocks in ((16, 16, 3), (16, 32, 3), (32, 64, 3)):
        trunk += 9 * channels_in * channels + (2 * blocks - 1) * 9 * channels**2 + 2 * blocks * 2 * channels
    primary = 9 * 64 * (16 + 256) + 2 * (16 + 256)
    classes = 8 * 8 * 16 * (16 * 10 + 10)
    assert count("self-routing-capsnet") == trunk + primary + classes


@models
@pytest.mark.parametrize(("shape", "classes"), [((1, 36, 36), 3), ((3, 33, 40), 7), ((2, 48, 48), 1)])
def test_any_image_size_channels_and_class_count(name, shape, classes):
    model = make(name, image_shape=shape, num_classes=classes)
    assert model.input_shape == shape
    assert len(model.class_names) == classes
    out = model(torch.rand(2, *shape))
    assert out.lengths.shape == (2, classes)
    assert out.capsules.poses.shape[:2] == (2, classes)
    assert 0 <= out.lengths.min() <= out.lengths.max() <= 1
    if model.decoder is not None:
        assert model.reconstruct(out.capsules).shape == (2, *shape)


@models
def test_every_parameter_gets_a_gradient(name):
    model = make(name, image_shape=(1, 36, 36), num_classes=4)
    out = model(torch.rand(3, 1, 36, 36))
    loss = out.lengths.square().sum()
    if model.decoder is not None:
        loss = loss + model.reconstruct(out.capsules).sum()
    loss.backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@models
def test_too_small_an_image_is_refused_with_the_smallest_that_works(name):
    with pytest.raises(UserError, match=r"images must be at least \d+x\d+ ") as refusal:
        make(name, image_shape=(1, 0, 12))
    smallest = int(str(refusal.value).split("at least ")[1].split("x")[0])
    assert (
        make(name, image_shape=(1, smallest, smallest))(torch.rand(2, 1, smallest, smallest)).lengths.isfinite().all()
    )


@models
def test_images_of_another_shape_are_refused(name):
    with pytest.raises(UserError, match=r"got \(1, 1, 57, 57\)"):
        make(name)(torch.rand(1, 1, 57, 57))


@models
def test_result_of_an_image_does_not_depend_on_its_batch_mates(name):
    model = make(name, image_shape=(1, 36, 36)).eval()
    images = torch.rand(3, 1, 36, 36)
    alone = torch.cat([model(image[None]).lengths for image in images])
    torch.testing.assert_close(model(images).lengths, alone)


@models
def test_loss_is_one_that_the_package_has(name):
    assert make(name).loss in LOSSES
    assert MODELS.get(name).summary


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("self-routing-capsnet", {"depth": 3, "parent_dim": 5, "decoder": True}),
        ("attention-capsnet", {"hidden": (4, 3), "schedule": "sequential", "iterations": 3, "decoder": True}),
        ("em-capsnet", {"decoder": True, "routing": "self-routing", "initialisation": "authors"}),
        ("vb-capsnet", {"routing": "em", "coordinates": "none", "routing_options": {"competition": "window"}}),
        ("deepcaps", {"loss": "hard-margin", "iterations": 1}),
        ("efficient-capsnet", {"decoder": "upsampling", "routing": "dynamic"}),
    ],
)
def test_other_configurations_work(name, options):
    model = make(name, image_shape=(1, 36, 36), num_classes=3, **options)
    out = model(torch.rand(2, 1, 36, 36))
    loss = out.lengths.sum()
    if model.decoder is not None:
        drawn = model.reconstruct(out.capsules)
        assert drawn.shape == (2, 1, 36, 36)
        loss = loss + drawn.sum()
    loss.backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


@models
def test_without_a_decoder_reconstruction_says_so(name):
    model = make(name, image_shape=(1, 36, 36), **without_decoder(name))
    with pytest.raises(UserError, match="no decoder"):
        model.reconstruct(model(torch.rand(2, 1, 36, 36)).capsules)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 1, 28, 28, dtype=torch.float64), r"must be torch\.float32 like the model's weights"),
        (torch.zeros(2, 1, 28, 28).numpy(), "must be a tensor, got ndarray"),
        (torch.zeros(0, 1, 28, 28), "images must not be empty"),
    ],
)
def test_images_that_a_model_cannot_take_are_refused(images, message):
    with pytest.raises(UserError, match=message):
        create_model("capsnet-tiny")(images)
