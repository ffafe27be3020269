import pytest
import torch

from capsnet import UserError
from capsnet.layers.local_conv import LocalConvCapsules, LocalTransposedConvCapsules
from capsnet.models import create_model, create_segmenter, load_segmenter
from capsnet.models.named import SEGMENTER_KEY, save_named

SMALL = {"image_shape": (1, 8, 16), "num_classes": 3}


def count(name, **options):
    return sum(parameter.numel() for parameter in create_segmenter(name, device="meta", **options).parameters())


def iterations(name):
    kinds = (LocalConvCapsules, LocalTransposedConvCapsules)
    layers = create_segmenter(name, device="meta").modules()
    return [layer.routing.iterations for layer in layers if isinstance(layer, kinds)]


def test_segcaps_has_the_published_number_of_parameters():
    # "1.4 M", Table 1; layer by layer from the authors' code
    levels = [416, 12_832, 25_664, 51_328, 205_056, 410_112, 409_856, 131_328, 102_528, 32_832, 25_664, 8_224, 272]
    assert count("segcaps", decoder=False) == sum(levels) == 1_416_112
    assert count("segcaps") == 1_425_649


def test_routing_iterations_are_those_of_r3_and_r1():
    assert iterations("segcaps") == [1] + [3] * 11
    assert iterations("segcaps-r1") == [1, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]


def test_segcaps_gives_a_length_and_a_pose_for_each_pixel():
    model = create_segmenter("segcaps-small", **SMALL)
    images = torch.rand(2, 1, 8, 16)
    output = model(images)
    assert output.lengths.shape == (2, 3, 8, 16)
    torch.testing.assert_close(output.lengths, output.poses.norm(dim=2))
    assert model.segment(images).equal(output.lengths > 0.5)


def test_segcaps_takes_volumes():
    model = create_segmenter("segcaps-small", image_shape=(2, 8, 8, 16), num_classes=2)
    output = model(torch.rand(1, 2, 8, 8, 16))
    assert output.lengths.shape == (1, 2, 8, 8, 16)
    assert model.reconstruct(output.poses, output.lengths > 0.5).shape == (1, 2, 8, 8, 16)


def test_a_pixel_outside_all_masks_does_not_depend_on_its_pose():
    model = create_segmenter("segcaps-small", **SMALL)
    poses, masks = torch.randn(1, 3, 8, 8, 16), torch.zeros(1, 3, 8, 16)
    masks[:, 1, :, 4:] = 1
    drawn, other = model.reconstruct(poses, masks), model.reconstruct(poses + 1, masks)
    torch.testing.assert_close(drawn[..., :4], other[..., :4])
    assert not drawn[..., 4:].allclose(other[..., 4:])


@pytest.mark.parametrize("name", ["segcaps-small", "unet-small"])
def test_a_saved_model_equals_the_loaded_one(name, tmp_path):
    model, images = create_segmenter(name, **SMALL), torch.rand(2, 1, 8, 16)
    model(images)
    model.save(tmp_path / "model.safetensors")
    loaded = load_segmenter(tmp_path / "model.safetensors")
    assert loaded(images).lengths.equal(model.eval()(images).lengths)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match="cannot read"):
        load_segmenter(tmp_path / "weights.safetensors")


def test_every_parameter_of_segcaps_has_a_gradient():
    model, images = create_segmenter("segcaps-small", **SMALL), torch.rand(1, 1, 8, 16)
    output = model(images)
    (output.lengths.sum() + model.reconstruct(output.poses, output.lengths > 0).sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_the_control_has_as_many_parameters_within_a_hundredth():
    assert count("unet-small") == pytest.approx(count("segcaps-small"), rel=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": (1, 30, 32)}, "multiples of 8"),
        ({"num_types": 6}, "multiple of 4"),
        ({"kernel_size": 4}, "must be odd"),
        ({"num_class": 2}, "did you mean 'num_classes'"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        create_segmenter("segcaps-small", **options)


def test_images_of_another_size_are_refused():
    with pytest.raises(UserError, match=r"images must be b x \(1, 8, 16\)"):
        create_segmenter("unet-small", **SMALL)(torch.rand(1, 1, 16, 16))


def test_a_file_keeps_the_class_names_and_older_ones_have_numbers(tmp_path):
    model = create_segmenter("unet-small", image_shape=(1, 8, 8), num_classes=2)
    assert model.class_names == ("1", "2")
    model.class_names = ("cup", "lid")
    model.save(tmp_path / "a.safetensors")
    assert load_segmenter(tmp_path / "a.safetensors").class_names == ("cup", "lid")
    save_named(model, tmp_path / "b.safetensors", SEGMENTER_KEY, "create_segmenter")
    assert load_segmenter(tmp_path / "b.safetensors").class_names == ("1", "2")


@pytest.mark.parametrize(
    ("name", "function"), [("segcaps", "create_segmenter"), ("sequence-capsnet", "create_sequence_model")]
)
def test_create_model_names_the_function_for_other_kinds(name, function):
    with pytest.raises(UserError, match=rf"create it with capsnet\.models\.{function}\('{name}'\)"):
        create_model(name)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("segcaps-small", {"pose_dim": 0}, "pose_dim must be at least 1, got 0"),
        ("segcaps-small", {"same_size_iterations": 0}, "same_size_iterations must be at least 1, got 0"),
        ("unet-small", {"levels": 0}, "levels must be at least 1, got 0"),
    ],
)
def test_a_number_out_of_bounds_is_named_as_it_was_given(name, options, words):
    with pytest.raises(UserError, match=f"^{words}"):
        create_segmenter(name, **options)


def test_images_of_another_type_or_device_than_the_weights_are_refused():
    model = create_segmenter("unet-small", **SMALL, channels=2, levels=2)
    with pytest.raises(UserError, match=r"images must be torch\.float32 like the model's weights, got torch\.float64"):
        model(torch.rand(1, 1, 8, 16).double())
    with pytest.raises(UserError, match="images must be on cpu like the model's weights, got meta"):
        model(torch.rand(1, 1, 8, 16, device="meta"))
