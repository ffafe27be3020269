import pytest
import torch

from capsnet import create_model, list_models
from capsnet.errors import UserError
from capsnet.routing import ROUTINGS
from capsnet.runs.weights import count_parameters


def count(**options):
    with torch.device("meta"):
        return count_parameters(create_model("capsnet", **options))


@pytest.mark.parametrize(
    ("side", "encoder", "with_decoder"),
    [(28, 6_804_224, 8_215_568), (36, 9_425_664, 11_361_808), (40, 11_227_904, 13_475_648)],
)
def test_parameter_counts_are_the_published_ones(side, encoder, with_decoder):
    assert count(image_shape=(1, side, side), decoder=False) == encoder
    assert count(image_shape=(1, side, side)) == with_decoder


def test_authors_preset_adds_160_biases_and_differs_as_documented():
    with torch.device("meta"):
        model = create_model("capsnet-authors")
    assert count_parameters(model) == 8_215_568 + 160
    assert model.primary_capsules.scale == 1 / 32


def test_authors_initialisation_is_theirs():
    model = create_model("capsnet-authors", stem_channels=32, num_types=8)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert parameter.eq(0.1).all(), name
        else:
            std = 0.05 if name == "stem.weight" else 0.1
            assert parameter.abs().max() <= 2 * std, name
            # cutting a normal at two standard deviations leaves 0.88 of its own
            assert abs(float(parameter.detach().std()) / std - 0.88) < 0.03, name


def test_padded_network_keeps_the_image_size_then_halves_it():
    model = create_model("capsnet-tiny", image_shape=(3, 24, 24), padding="same")
    assert model.grid[:2] == (12, 12)
    # an odd number of zeros: the smaller half comes first
    assert model.margins == ((4, 4, 4, 4), (3, 4, 3, 4))
    assert model(torch.rand(2, 3, 24, 24)).coupling.shape == (2, 12 * 12 * 4, 10)


@pytest.mark.parametrize("shape", [(1, 5, 5), (2, 7, 12), (3, 1, 1)])
def test_padded_network_takes_images_of_any_size(shape):
    model = create_model("capsnet-tiny", image_shape=shape, padding="same")
    assert model(torch.rand(1, *shape)).lengths.shape == (1, 10)


@pytest.mark.usefixtures("unchecked")
def test_unknown_padding_is_refused():
    with pytest.raises(UserError, match="padding must be 'valid' or 'same', got 'full'"):
        create_model("capsnet-tiny", padding="full")


@pytest.mark.parametrize("shape", [(1, 17, 17), (3, 20, 33), (2, 24, 18)])
@pytest.mark.parametrize("classes", [1, 7])
def test_any_image_size_channels_and_class_count(shape, classes):
    model = create_model("capsnet-tiny", image_shape=shape, num_classes=classes)
    images = torch.rand(1, *shape)
    out = model(images)
    assert out.lengths.shape == (1, classes)
    assert out.capsules.poses.shape == (1, classes, 16)
    assert model.reconstruct(out.capsules).shape == images.shape


def test_too_small_an_image_is_refused_with_the_smallest_that_works():
    with pytest.raises(UserError, match="at least 17x17"):
        create_model("capsnet", image_shape=(1, 16, 28))


@pytest.mark.parametrize("name", ROUTINGS.names())
def test_any_routing_that_activates_may_be_chosen_by_name(name):
    options = {"image_shape": (1, 17, 17), "num_classes": 3, "routing": name}
    if not ROUTINGS.get(name).activates:
        with pytest.raises(UserError, match="computes no activations"):
            create_model("capsnet-tiny", **options)
        return
    out = create_model("capsnet-tiny", **options)(torch.rand(2, 1, 17, 17))
    assert out.lengths.shape == (2, 3)


def test_images_of_another_shape_are_refused():
    with pytest.raises(UserError, match=r"images must be b x \(1, 28, 28\), got \(1, 1, 32, 32\)"):
        create_model("capsnet-tiny")(torch.rand(1, 1, 32, 32))


def test_result_of_an_image_does_not_depend_on_its_batch_mates():
    model, images = create_model("capsnet-tiny").eval(), torch.rand(5, 1, 28, 28)
    together = model(images).lengths
    alone = torch.cat([model(image[None]).lengths for image in images])
    torch.testing.assert_close(together, alone)


def test_prediction_is_the_longest_capsule_and_it_is_decoded():
    model = create_model("capsnet-tiny")
    out = model(torch.rand(4, 1, 28, 28))
    torch.testing.assert_close(out.lengths, out.capsules.poses.norm(dim=-1))
    longest = out.capsules.poses.norm(dim=-1).argmax(dim=1)
    torch.testing.assert_close(model.reconstruct(out.capsules), model.reconstruct(out.capsules, longest))


@pytest.mark.parametrize("name", list_models("capsnet*"))
def test_every_parameter_of_every_model_gets_a_gradient(name):
    options = {"stem_channels": 8, "num_types": 2} if name != "capsnet-tiny" else {}
    model = create_model(name, **options)
    out = model(torch.rand(2, 1, 28, 28))
    (out.lengths.sum() + model.reconstruct(out.capsules).sum()).backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize(
    "image", [torch.zeros(1, 1, 28, 28), torch.ones(1, 1, 28, 28), torch.full((1, 1, 28, 28), 1e4)]
)
def test_blank_and_extreme_images_give_finite_results_and_gradients(image):
    model = create_model("capsnet-tiny")
    out = model(image)
    out.lengths.sum().backward()
    assert out.lengths.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_model_without_decoder_says_so():
    model = create_model("capsnet-tiny", decoder=False)
    with pytest.raises(UserError, match="has no decoder"):
        model.reconstruct(model(torch.rand(1, 1, 28, 28)).capsules)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UserError, match="unknown model 'capsnett'; did you mean 'capsnet'"):
        create_model("capsnett")
    with pytest.raises(UserError, match="no option 'num_class'; did you mean 'num_classes'"):
        create_model("capsnet", num_class=3)
